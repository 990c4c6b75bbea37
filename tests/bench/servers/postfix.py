"""postfix.py - a Postfix of the benchmark's own: configuration, queue, data and Maildirs in the folder, an unprivileged
port of loopback, one domain that exists nowhere. It takes mail over TLS (from the first byte, as RFC 8314 wants it) and
puts it into Maildirs with its own delivery agent; nothing leaves the machine, nothing is looked up in the DNS.

Durability: the 250 to a message comes after its queue file was fsync'ed; the delivery agent syncs the Maildir's file
before the queue file goes. Two syncs a mail, so four a letter with its receipt, whatever the load: nothing is grouped.
A kill between delivery and the end of the queue file delivers a mail twice.

Settings, and why:
- master(8) wants root. Mailboxes belong to nobody, since virtual(8) does not deliver as root.
- TLS-only on loopback, no login; no milters, no content rules, no name lookups, no limits on rates and connections:
  what a mail server spends on strangers is not measured.
- in_flow_delay 0 and enough processes for 32 pairs: reception is not slowed down for the queue manager's sake, and no
  end waits for a free process.
- the log goes to a file of its own through postlogd(8): a mail server without a log would be nobody's habit.

`pair NAME`, a script left in the folder, is what two correspondents have done before their first letter: a GnuPG key
each (ed25519 to sign, cv25519 to encrypt, no passphrase), the other's imported, a mailbox. It does so once."""
import base64
import os
import pathlib
import pwd
import stat
import subprocess
import tempfile

from . import common

DAEMONS = "/usr/lib/postfix/sbin"
DOMAIN = "bench.invalid"
PAIRS = 1000

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = {domain}
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_timeout = 3600s
smtpd_tls_wrappermode = yes
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {folder}/server.pem
smtpd_tls_key_file = {folder}/server.key
smtpd_tls_mandatory_protocols = >=TLSv1.3
disable_dns_lookups = yes
default_transport = error:only {domain} is served here
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = texthash:{folder}/etc/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
message_size_limit = 0
default_process_limit = 400
in_flow_delay = 0
biff = no
notify_classes =
maillog_file = {folder}/log/mail
maillog_file_prefixes = {folder}/log
"""

# service type private unpriv chroot wakeup maxproc command
MASTER = """\
{host}:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

PAIR = """\
#!/bin/sh
# Usage: pair NAME
set -eu
cd "$(dirname "$0")/gnupg"
exec 9> "$1.lock"
flock 9
[ ! -e "$1.ready" ] || exit 0
gpg() {{ command gpg --batch --quiet --trust-model always --no-auto-check-trustdb "$@"; }}
for end in sender recipient; do
    rm -rf "$end.$1"
    mkdir -m 700 "$end.$1"
    gpg --homedir "$end.$1" --passphrase '' --quick-generate-key "$end.$1@{domain}" ed25519 sign never
    gpg --homedir "$end.$1" --list-keys --with-colons | sed -n '/^fpr/{{s/^fpr:*//;s/:$//;p;q}}' > "$end.$1/fingerprint"
    gpg --homedir "$end.$1" --passphrase '' --quick-add-key "$(cat "$end.$1/fingerprint")" cv25519 encr never
    gpg --homedir "$end.$1" --export > "$end.$1/public"
done
gpg --homedir "sender.$1" --import "recipient.$1/public"
gpg --homedir "recipient.$1" --import "sender.$1/public"
for end in sender recipient; do
    gpgconf --homedir "$end.$1" --kill gpg-agent
    box=../mail/$end.$1
    install -d -o {uid} -g {gid} -m 700 "$box" "$box/tmp" "$box/new" "$box/cur"
done
: > "$1.ready"
"""


class Postfix(common.Server):
    name = "postfix"
    durability = "250 comes after the queue file's fsync, one a message; the Maildir's file is synced before that goes"

    def __init__(self, folder):
        super().__init__(folder)
        if os.geteuid() != 0:
            raise PermissionError("Postfix's master(8) must be started by root")
        common.make_tls(self.folder)
        port = common.free_port()
        common.write_address(self.folder, port)
        self._let_through()
        owner = pwd.getpwnam("nobody")
        self.facts = {"folder": self.folder, "daemons": DAEMONS, "domain": DOMAIN, "host": common.HOST, "port": port,
                      "uid": owner.pw_uid, "gid": owner.pw_gid}
        self._make_folders(owner)
        self._write_configuration()

    def _let_through(self):
        """Postfix drops root early and often: its users must be able to pass (not list) every folder on the way."""
        for place in (self.folder, *self.folder.parents):
            mode = place.stat().st_mode
            if mode & stat.S_IXOTH:
                continue
            if not place.is_relative_to(tempfile.gettempdir()) and place != self.folder:
                raise PermissionError(f"Postfix's users cannot pass {place}: choose another folder for the benchmark")
            place.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)

    def _make_folders(self, owner):
        for name in ("etc", "spool", "data", "log", "mail", "gnupg"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "gnupg").chmod(0o700)
        postfix = pwd.getpwnam("postfix")
        os.chown(self.folder / "data", postfix.pw_uid, postfix.pw_gid)
        os.chown(self.folder / "mail", owner.pw_uid, owner.pw_gid)

    def _write_configuration(self):
        etc = self.folder / "etc"
        ends = [f"{end}.p{pair}" for pair in range(PAIRS) for end in ("sender", "recipient")]
        ends += ["seeded", "survivors"]
        (etc / "main.cf").write_text(MAIN.format(**self.facts))
        (etc / "master.cf").write_text(MASTER.format(**self.facts))
        (etc / "mailboxes").write_text("".join(f"{end}@{DOMAIN} {end}/\n" for end in ends))
        pair = self.folder / "pair"
        pair.write_text(PAIR.format(**self.facts))
        pair.chmod(0o755)
        made = subprocess.run([common.program("postfix"), "-c", etc, "check"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if made.returncode:
            raise RuntimeError(f"postfix check: {made.stdout}")

    def command(self):
        return [f"{DAEMONS}/master", "-c", self.folder / "etc", "-d"]

    def log_tail(self, lines=10):
        log = self.folder / "log" / "mail"
        text = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
        return "\n".join([super().log_tail(lines), *text])

    def stop(self):
        """The master goes first and leaves its children to follow."""
        pids = self.pids()
        super().stop()
        common.wait_until(lambda: not common.tree(*pids), self.stop_seconds, "postfix: the end of its daemons")

    def deposit(self, queue, count, size):
        """Letters to the mailbox of that name, through the front door."""
        mail = f"MAIL FROM:<{queue}@{DOMAIN}>\r\nRCPT TO:<{queue}@{DOMAIN}>\r\n".encode()
        stored = 0
        with _Session(self.folder) as session:
            for first in range(0, count, common.DEPOSIT_BATCH):
                batch = []
                for number in range(first, min(count, first + common.DEPOSIT_BATCH)):
                    text = base64.encodebytes(common.numbered(number, size)).replace(b"\n", b"\r\n")
                    letter = b"Content-Transfer-Encoding: base64\r\n\r\n" + text
                    batch.append(mail + b"BDAT %d LAST\r\n" % len(letter) + letter)
                stored += session.send(batch)
        return stored

    def collect(self, queue):
        """What is in the mailbox once nothing is on its way to it any more, in the order of delivery."""
        common.wait_until(lambda: self._under_way() == 0, 120, "postfix: delivery of what was queued")
        box = self.folder / "mail" / queue / "new"
        letters = sorted(box.iterdir(), key=lambda path: path.stat().st_mtime_ns) if box.exists() else []
        bodies = [base64.b64decode(letter.read_bytes().partition(b"\n\n")[2]) for letter in letters]
        for letter in letters:
            letter.unlink()
        return [int.from_bytes(body[:8], "big") for body in bodies]

    def _under_way(self):
        queues = (self.folder / "spool" / name for name in ("maildrop", "incoming", "active", "deferred"))
        return sum(len(files) for queue in queues for _, _, files in os.walk(queue))


class _Session:
    """As much of SMTP as a deposit needs: whole letters in one go (PIPELINING, CHUNKING)."""

    def __init__(self, folder):
        self.socket = common.secure_connection(folder)
        self.stream = self.socket.makefile("rb")
        self._expect(b"220")
        self.socket.sendall(f"EHLO {DOMAIN}\r\n".encode())
        self._expect(b"250")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, letters):
        """How many of them are answered with a third 250."""
        self.socket.sendall(b"".join(letters))
        for _ in letters:
            for _ in range(3):
                self._expect(b"250")
        return len(letters)

    def _expect(self, code):
        while True:
            line = self.stream.readline()
            if not line.startswith(code):
                raise RuntimeError(f"postfix: {line.decode().strip() or 'connection ended'}")
            if line[3:4] == b" ":
                return


def start(folder):
    server = Postfix(folder)
    server.restart()
    return server
