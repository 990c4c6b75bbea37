/* carrier_postfix.c - a letter as mail: encrypted and signed by GnuPG, over SMTP and TLS, into a Maildir.
 *
 *     sender     gpg --sign --encrypt ─ SMTP ··· kept: 250     Maildir ─ gpg --decrypt ─ on_receipt ─ unlink
 *     recipient  Maildir ─ gpg --decrypt ─ on_letter           answer ─ gpg --clearsign ─ SMTP ─ 250 ─ unlink
 *
 * That is today's habit. One gpg a letter and step, as mail programs run it; as many at once as there are cores, none
 * waited for: each has its input, output and messages in memory files, and a descriptor that tells its end. The letter
 * travels as PGP/MIME (RFC 3156), the receipt as a clear-signed text. GnuPG's compression is off: what is sealed does
 * not get smaller. The agent that holds the secret keys is our own child, so that its time counts as ours once it has
 * been waited for (close).
 *
 * SMTP is spoken as the server likes it best: whole messages in one go (PIPELINING, RFC 2920; BDAT, RFC 3030), on two
 * connections if the window has room for that. Mail keeps no order, and this carrier promises none. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef INT_MAX /* OpenSSL's headers need it from limits.h, which proto's own hides */
#define INT_MAX __INT_MAX__
#endif
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "carrier.h"

#define DOMAIN "bench.invalid"
#define RUNNING_MAX 8
#define SESSIONS_MAX 2
#define LISTEN_FD 3 /* where a supervised gpg-agent looks for its socket */

/* What gpg is to do. What it makes is posted; what it has opened and verified goes to the ears. */
enum task { SEAL, SIGN, OPEN, CHECK };

struct job {
    struct job *next;
    enum task task;
    uint64_t number; /* SEAL, SIGN */
    char *file;      /* SIGN: the letter that it answers, gone once the answer is kept. OPEN, CHECK: the mail itself */
    int in, out, messages, done; /* done: readable when the process has ended */
    pid_t pid;
};

struct mail {
    struct mail *next;
    uint64_t number;
    char *file; /* what goes when this is kept, or NULL */
    struct buf text;
};

/* A letter that has been opened and not answered yet. */
struct opened {
    struct opened *next;
    uint64_t number;
    char *file;
};

struct session {
    SSL *tls;
    int fd;
    struct mail *mail; /* under way, or NULL */
    unsigned replies;  /* how many of its three commands have been answered */
    char line[1024];
    size_t n;
};

struct carrier {
    struct carrier_options options;
    const char *self, *peer; /* "sender", "recipient" */
    char *home, *inbox;      /* gpg's, and Maildir/new */
    char peer_key[256];      /* fingerprint */
    pid_t agent;
    int watch;
    struct job *waiting, *running[RUNNING_MAX];
    unsigned running_max, running_n;
    struct mail *outgoing;
    struct opened *opened;
    char **known; /* mail that lay there when we opened: a notice of it would be the second */
    size_t known_n;
    SSL_CTX *tls;
    struct session sessions[SESSIONS_MAX];
    unsigned sessions_n;
};

#define die(...) letter_die("postfix: " __VA_ARGS__)

static void *made(size_t size) {
    void *p = calloc(1, size);
    if (!p) die("no memory");
    return p;
}

__attribute__((format(printf, 1, 2))) static char *text_of(const char *format, ...) {
    va_list arguments;
    char *text;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) die("no memory");
    va_end(arguments);
    return text;
}

static void read_line(const char *path, char ret[static 256]) {
    FILE *file = fopen(path, "r");
    if (!file || !fgets(ret, 256, file)) die("%s cannot be read", path);
    fclose(file);
    ret[strcspn(ret, "\n")] = 0;
}

/* Appends, with lines ended as mail ends them. */
static void add_lines(struct buf *out, struct bytes text) {
    while (text.n > 0) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        buf_add(out, text.p, n);
        buf_add(out, "\r\n", 2);
        n += end ? 1 : 0;
        text = bytes_of(text.p + n, text.n - n);
    }
}

__attribute__((format(printf, 2, 3))) static void add_format(struct buf *out, const char *format, ...) {
    va_list arguments;
    char text[2048];
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof text) die("a line too long");
    buf_add(out, text, (size_t)n);
}

static void read_all(int fd, struct buf *ret) {
    struct stat facts;
    if (fstat(fd, &facts) != 0) die("memory file: %s", strerror(errno));
    uint8_t *room = buf_extend(ret, (size_t)facts.st_size);
    if (!room && facts.st_size > 0) die("no memory");
    for (off_t at = 0; at < facts.st_size;) {
        ssize_t n = pread(fd, room + at, (size_t)(facts.st_size - at), at);
        if (n <= 0) die("memory file: %s", strerror(errno));
        at += n;
    }
}

static int memory_file(struct bytes content) {
    int fd = memfd_create("letter", MFD_CLOEXEC);
    if (fd < 0) die("memory file: %s", strerror(errno));
    for (size_t at = 0; at < content.n;) {
        ssize_t n = write(fd, content.p + at, content.n - at);
        if (n <= 0) die("memory file: %s", strerror(errno));
        at += (size_t)n;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* gpg ------------------------------------------------------------------------------------------------------------- */

static void job_add(struct carrier *carrier, enum task task, uint64_t number, char *file, struct bytes input) {
    struct job *job = made(sizeof *job), **end = &carrier->waiting;
    *job = (struct job){.task = task, .number = number, .file = file, .in = -1, .out = -1, .messages = -1, .done = -1};
    if (input.p) job->in = memory_file(input);
    while (*end) end = &(*end)->next;
    *end = job;
}

static void spawn_gpg(const struct carrier *carrier, struct job *job) {
    const char *argv[24] = {"gpg",
                            "--homedir",
                            carrier->home,
                            "--batch",
                            "--no-tty",
                            "--quiet",
                            "--no-permission-warning",
                            "--no-auto-check-trustdb",
                            "--trust-model",
                            "always",
                            "--no-autostart",
                            "--status-fd",
                            "2"};
    size_t n = 13;
    if (job->task == SEAL) {
        for (const char *const *word = (const char *const[]){"--armor", "--compress-level", "0", "--recipient",
                                                             carrier->peer_key, "--sign", "--encrypt", NULL};
             *word; word++)
            argv[n++] = *word;
    } else {
        argv[n++] = job->task == SIGN ? "--clearsign" : "--decrypt";
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, job->in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, job->out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, job->messages, STDERR_FILENO);
    int failed = posix_spawnp(&job->pid, "gpg", &files, NULL, (char **)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed) die("gpg: %s", strerror(failed));
}

static void job_start(const struct carrier *carrier, struct job *job) {
    if (job->in < 0) /* gpg skips a mail's head up to the armour by itself */
        job->in = open(job->file, O_RDONLY | O_CLOEXEC);
    if (job->in < 0) die("%s: %s", job->file, strerror(errno));
    job->out = memory_file((struct bytes){0});
    job->messages = memory_file((struct bytes){0});
    spawn_gpg(carrier, job);
    job->done = pidfd_open(job->pid, 0);
    if (job->done < 0) die("pidfd: %s", strerror(errno));
}

static void jobs_start(struct carrier *carrier) {
    while (carrier->waiting && carrier->running_n < carrier->running_max) {
        struct job *job = carrier->waiting;
        carrier->waiting = job->next;
        job_start(carrier, job);
        carrier->running[carrier->running_n++] = job;
    }
}

static void job_free(struct job *job) {
    close(job->in);
    close(job->out);
    close(job->messages);
    close(job->done);
    free(job->file);
    free(job);
}

/* gpg says in machine-readable lines what it found; its exit code alone would let unsigned text through. */
static void need_status(const struct buf *messages, const char *wanted) {
    const char *text = (const char *)messages->p;
    if (!strstr(text, wanted)) die("gpg did not say \"%s\":\n%s", wanted, text);
}

static void job_verify(const struct carrier *carrier, const struct job *job, struct buf *messages) {
    int status;
    while (waitpid(job->pid, &status, 0) < 0)
        if (errno != EINTR) die("waitpid: %s", strerror(errno));
    read_all(job->messages, messages);
    buf_add(messages, "", 1);
    if (buf_error(messages) != E_OK) die("no memory");
    if (status != 0) die("gpg failed with status %d:\n%s", status, (const char *)messages->p);
    if (job->task != OPEN && job->task != CHECK) return;
    char signature[320];
    snprintf(signature, sizeof signature, "[GNUPG:] VALIDSIG %s ", carrier->peer_key);
    need_status(messages, "[GNUPG:] GOODSIG ");
    need_status(messages, signature);
    if (job->task == OPEN) need_status(messages, "[GNUPG:] DECRYPTION_OKAY");
}

/* mail ------------------------------------------------------------------------------------------------------------ */

static void add_head(const struct carrier *carrier, uint64_t number, const char *subject, struct buf *out) {
    char date[64];
    time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &utc));
    add_format(out, "From: <%s.%s@" DOMAIN ">\r\nTo: <%s.%s@" DOMAIN ">\r\nDate: %s\r\n", carrier->self,
               carrier->options.pair, carrier->peer, carrier->options.pair, date);
    add_format(out, "Message-ID: <%" PRIu64 ".%s.%s@" DOMAIN ">\r\nSubject: %s\r\nMIME-Version: 1.0\r\n", number,
               carrier->self, carrier->options.pair, subject);
}

static void mail_post(struct carrier *carrier, struct job *job, const struct buf *armoured) {
    struct mail *mail = made(sizeof *mail), **end = &carrier->outgoing;
    mail->number = job->number;
    mail->file = take(&job->file);
    if (job->task == SEAL) {
        add_head(carrier, job->number, "...", &mail->text);
        add_format(&mail->text,
                   "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=\"=_\"\r\n\r\n"
                   "--=_\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n"
                   "--=_\r\nContent-Type: application/octet-stream\r\n\r\n");
        add_lines(&mail->text, buf_bytes(armoured));
        add_format(&mail->text, "\r\n--=_--\r\n");
    } else {
        add_head(carrier, job->number, "Receipt", &mail->text);
        add_format(&mail->text, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
        add_lines(&mail->text, buf_bytes(armoured));
    }
    if (buf_error(&mail->text) != E_OK) die("no memory");
    while (*end) end = &(*end)->next;
    *end = mail;
}

/* What is inside the seal: a MIME part whose octets need no encoding, since nothing but gpg sees them. */
#define LETTER_HEAD                                                                                                    \
    "Content-Type: application/octet-stream\nContent-Transfer-Encoding: binary\nContent-ID: <%" PRIu64 ">\n\n"
#define LETTER_SCAN                                                                                                    \
    "Content-Type: application/octet-stream\nContent-Transfer-Encoding: binary\nContent-ID: <%" SCNu64 ">\n\n%n"
#define RECEIPT_HEAD "Receipt for letter %" PRIu64 "\n"
#define RECEIPT_SCAN "Receipt for letter %" SCNu64 "%n"

static void postfix_send(struct carrier *carrier, uint64_t number, const struct letter *letter) {
    AUTO_BUF text = {0};
    add_format(&text, LETTER_HEAD, number);
    letter_flatten(letter, &text);
    if (buf_error(&text) != E_OK) die("no memory");
    job_add(carrier, SEAL, number, NULL, buf_bytes(&text));
}

static char *answered(struct carrier *carrier, uint64_t number) {
    for (struct opened **at = &carrier->opened; *at; at = &(*at)->next) {
        if ((*at)->number == number) {
            struct opened *found = *at;
            char *file = found->file;
            *at = found->next;
            free(found);
            return file;
        }
    }
    die("answers letter %" PRIu64 ", which did not come", number);
}

static void postfix_answer(struct carrier *carrier, uint64_t number, struct bytes receipt) {
    enum { LINE = 54 }; /* octets that make 72 characters */
    AUTO_BUF text = {0};
    add_format(&text, RECEIPT_HEAD, number);
    for (size_t at = 0; at < receipt.n; at += LINE) {
        char line[sodium_base64_ENCODED_LEN(LINE, sodium_base64_VARIANT_ORIGINAL)];
        size_t n = receipt.n - at < LINE ? receipt.n - at : LINE;
        sodium_bin2base64(line, sizeof line, receipt.p + at, n, sodium_base64_VARIANT_ORIGINAL);
        add_format(&text, "%s\n", line);
    }
    if (buf_error(&text) != E_OK) die("no memory");
    job_add(carrier, SIGN, number, answered(carrier, number), buf_bytes(&text));
}

static void take_letter(struct carrier *carrier, struct job *job, struct bytes text) {
    uint64_t number;
    int head = 0;
    struct letter letter;
    char start[160];
    snprintf(start, sizeof start, "%.*s", (int)(text.n < sizeof start ? text.n : sizeof start - 1),
             (const char *)text.p);
    if (sscanf(start, LETTER_SCAN, &number, &head) != 1 || head == 0) die("%s: not a letter", job->file);
    /* The scan's last blank would swallow octets of the letter that look like blanks. */
    head = (int)(strstr(start, "\n\n") + 2 - start);
    if (letter_parse(bytes_of(text.p + head, text.n - (size_t)head), &letter) != E_OK)
        die("letter %" PRIu64 " cannot be taken apart", number);
    struct opened *opened = made(sizeof *opened);
    *opened = (struct opened){.next = carrier->opened, .number = number, .file = take(&job->file)};
    carrier->opened = opened;
    carrier->options.ears->on_letter(carrier->options.context, number, &letter);
}

static void take_receipt(const struct carrier *carrier, const struct job *job, struct buf *text) {
    uint64_t number;
    int head = 0;
    size_t n = 0;
    buf_add(text, "", 1);
    if (buf_error(text) != E_OK || sscanf((const char *)text->p, RECEIPT_SCAN, &number, &head) != 1)
        die("%s: not a receipt", job->file);
    const char *encoded = (const char *)text->p + head;
    AUTO_FREE(uint8_t) receipt = made(strlen(encoded) + 1);
    if (sodium_base642bin(receipt, strlen(encoded), encoded, strlen(encoded), " \r\n", &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        die("%s: not a receipt", job->file);
    carrier->options.ears->on_receipt(carrier->options.context, number, bytes_of(receipt, n));
    if (unlink(job->file) != 0) die("%s: %s", job->file, strerror(errno));
}

static void job_finish(struct carrier *carrier, struct job *job) {
    AUTO_BUF messages = {0};
    AUTO_BUF output = {0};
    job_verify(carrier, job, &messages);
    read_all(job->out, &output);
    switch (job->task) {
    case SEAL:
    case SIGN: mail_post(carrier, job, &output); break;
    case OPEN: take_letter(carrier, job, buf_bytes(&output)); break;
    case CHECK: take_receipt(carrier, job, &output); break;
    }
    job_free(job);
}

/* SMTP ------------------------------------------------------------------------------------------------------------ */

_Noreturn static void die_tls(const char *what) {
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    die("%s: %s", what, text);
}

/* The server answers in two pieces and holds the second back until it knows that the first has come (Nagle); told at
 * once, it does not wait for 40 ms. The kernel forgets the wish, so it is said before every wait. */
static void acknowledge_at_once(const struct session *session) {
    int one = 1;
    setsockopt(session->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

static void session_wait(const struct session *session, short events) {
    struct pollfd poller = {.fd = session->fd, .events = events};
    if (poll(&poller, 1, -1) < 0 && errno != EINTR) die("poll: %s", strerror(errno));
}

/* May block: the server reads whatever comes and its replies are short. */
static void session_write(struct session *session, struct bytes bytes) {
    while (bytes.n > 0) {
        size_t n = 0;
        if (SSL_write_ex(session->tls, bytes.p, bytes.n, &n)) {
            bytes = bytes_of(bytes.p + n, bytes.n - n);
            continue;
        }
        int error = SSL_get_error(session->tls, 0);
        if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) die_tls("send");
        session_wait(session, error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN);
    }
}

/* The next whole line into session->line, or false when it is not there yet. */
static bool session_line(struct session *session) {
    for (;;) {
        size_t n = 0;
        char octet;
        if (!SSL_read_ex(session->tls, &octet, 1, &n)) {
            if (SSL_get_error(session->tls, 0) != SSL_ERROR_WANT_READ) die_tls("the server hung up");
            acknowledge_at_once(session);
            return false;
        }
        if (octet == '\n') {
            session->line[session->n] = 0;
            session->n = 0;
            return true;
        }
        if (session->n + 1 >= sizeof session->line) die("a reply without end");
        if (octet != '\r') session->line[session->n++] = octet;
    }
}

/* One reply, which may be of several lines; waits for it. */
static void session_expect(struct session *session, const char *code) {
    do {
        while (!session_line(session)) session_wait(session, POLLIN);
        if (strncmp(session->line, code, 3) != 0) die("expected %s, got: %s", code, session->line);
    } while (session->line[3] == '-');
}

static void mail_kept(const struct carrier *carrier, struct mail *mail) {
    if (carrier->options.sender) carrier->options.ears->on_kept(carrier->options.context, mail->number);
    if (mail->file && unlink(mail->file) != 0) die("%s: %s", mail->file, strerror(errno));
    free(mail->file);
    buf_free(&mail->text);
    free(mail);
}

static void session_read(const struct carrier *carrier, struct session *session) {
    while (session_line(session)) {
        if (!session->mail || strncmp(session->line, "250 ", 4) != 0) die("the server says: %s", session->line);
        if (++session->replies == 3) {
            struct mail *mail = take(&session->mail);
            session->replies = 0;
            mail_kept(carrier, mail);
        }
    }
}

static void mails_send(struct carrier *carrier) {
    for (unsigned i = 0; i < carrier->sessions_n && carrier->outgoing; i++) {
        struct session *session = &carrier->sessions[i];
        if (session->mail) continue;
        struct mail *mail = carrier->outgoing;
        carrier->outgoing = mail->next;
        session->mail = mail;
        AUTO_BUF text = {0};
        add_format(&text, "MAIL FROM:<%s.%s@" DOMAIN ">\r\nRCPT TO:<%s.%s@" DOMAIN ">\r\nBDAT %zu LAST\r\n",
                   carrier->self, carrier->options.pair, carrier->peer, carrier->options.pair, mail->text.n);
        buf_add_bytes(&text, buf_bytes(&mail->text));
        if (buf_error(&text) != E_OK) die("no memory");
        session_write(session, buf_bytes(&text));
        acknowledge_at_once(session);
    }
}

static void session_open(struct carrier *carrier, struct session *session) {
    AUTO_FREE(char) path = text_of("%s/address", carrier->options.folder);
    char line[256], host[64];
    int port, one = 1;
    read_line(path, line);
    if (sscanf(line, "%63s %d", host, &port) != 2) die("%s: not an address", path);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    session->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (session->fd < 0 || connect(session->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect: %s", strerror(errno));
    setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    session->tls = SSL_new(carrier->tls);
    if (!session->tls || !SSL_set_fd(session->tls, session->fd) ||
        !X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session->tls), host))
        die_tls("TLS");
    if (SSL_connect(session->tls) != 1) die_tls("TLS");
    session_expect(session, "220");
    session_write(session, bytes_text("EHLO " DOMAIN "\r\n"));
    session_expect(session, "250");
    fcntl(session->fd, F_SETFL, O_NONBLOCK);
}

static void sessions_open(struct carrier *carrier) {
    AUTO_FREE(char) authority = text_of("%s/ca.pem", carrier->options.folder);
    carrier->tls = SSL_CTX_new(TLS_client_method());
    if (!carrier->tls || SSL_CTX_load_verify_locations(carrier->tls, authority, NULL) != 1) die_tls(authority);
    SSL_CTX_set_ciphersuites(carrier->tls, "TLS_AES_128_GCM_SHA256"); /* as with the other carriers */
    SSL_CTX_set_verify(carrier->tls, SSL_VERIFY_PEER, NULL);
    carrier->sessions_n = carrier->options.window > 1 ? SESSIONS_MAX : 1;
    for (unsigned i = 0; i < carrier->sessions_n; i++) session_open(carrier, &carrier->sessions[i]);
}

/* Maildir --------------------------------------------------------------------------------------------------------- */

static void mail_arrived(struct carrier *carrier, const char *name) {
    char *file = text_of("%s/%s", carrier->inbox, name);
    job_add(carrier, carrier->options.sender ? CHECK : OPEN, 0, file, (struct bytes){0});
}

static bool is_known(const struct carrier *carrier, const char *name) {
    for (size_t i = 0; i < carrier->known_n; i++)
        if (strcmp(carrier->known[i], name) == 0) return true;
    return false;
}

/* The watch comes before the look, so that nothing arrives between the two. */
static void inbox_open(struct carrier *carrier) {
    carrier->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (carrier->watch < 0 || inotify_add_watch(carrier->watch, carrier->inbox, IN_CREATE | IN_MOVED_TO) < 0)
        die("%s: %s", carrier->inbox, strerror(errno));
    struct dirent **entries;
    int n = scandir(carrier->inbox, &entries, NULL, alphasort);
    if (n < 0) die("%s: %s", carrier->inbox, strerror(errno));
    carrier->known = made((size_t)n * sizeof *carrier->known);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            mail_arrived(carrier, entries[i]->d_name);
            carrier->known[carrier->known_n++] = text_of("%s", entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
}

static void inbox_read(struct carrier *carrier) {
    _Alignas(struct inotify_event) char room[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
    ssize_t n = read(carrier->watch, room, sizeof room);
    if (n < 0 && errno != EAGAIN && errno != EINTR) die("inotify: %s", strerror(errno));
    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *event = (const void *)(room + at);
        if (event->mask & IN_Q_OVERFLOW) die("more mail than inotify's queue holds");
        if (event->len > 0 && !is_known(carrier, event->name)) mail_arrived(carrier, event->name);
        at += (ssize_t)(sizeof *event + event->len);
    }
}

/* the agent of gpg ------------------------------------------------------------------------------------------------ */

static int agent_socket(const char *home) {
    AUTO_FREE(char) command = text_of("gpgconf --homedir '%s' --list-dirs agent-socket", home);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[PATH_MAX] = "";
    FILE *pipe = popen(command, "r");
    if (!pipe || !fgets(path, sizeof path, pipe) || pclose(pipe) != 0) die("gpgconf does not tell the agent's socket");
    path[strcspn(path, "\n")] = 0;
    if (strlen(path) >= sizeof address.sun_path) die("%s: too long for a socket's name; choose a shorter folder", path);
    strcpy(address.sun_path, path);
    unlink(path); /* of an agent that was killed */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0)
        die("%s: %s", path, strerror(errno));
    return fd;
}

/* Handed its socket, an agent stays in the foreground and ours; started by gpg it would be init's. It need not watch
 * over its socket: that takes two of a user's 128 inotify instances. */
static pid_t agent_start(const char *home) {
    int fd = agent_socket(home);
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) die("fork: %s", strerror(errno));
    if (pid == 0) {
        AUTO_FREE(char) self = text_of("%d", getpid());
        if (fd == LISTEN_FD)
            fcntl(fd, F_SETFD, 0);
        else
            dup2(fd, LISTEN_FD);
        setenv("LISTEN_FDS", "1", 1);
        setenv("LISTEN_PID", self, 1);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO); /* it announces itself; gpg tells when it is not there */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            execlp("gpg-agent", "gpg-agent", "--homedir", home, "--disable-scdaemon", "--disable-check-own-socket",
                   "--supervised", (char *)NULL);
        _exit(127);
    }
    close(fd);
    return pid;
}

/* Keys, mailboxes: the script that the server's set-up left. */
static void pair_prepare(const struct carrier *carrier) {
    AUTO_FREE(char) script = text_of("%s/pair", carrier->options.folder);
    const char *const argv[] = {script, carrier->options.pair, NULL};
    pid_t pid;
    int status, failed = posix_spawn(&pid, script, NULL, NULL, (char **)(uintptr_t)argv, environ);
    if (failed) die("%s: %s", script, strerror(failed));
    if (waitpid(pid, &status, 0) != pid || status != 0) die("%s failed", script);
}

/* the carrier ----------------------------------------------------------------------------------------------------- */

static void key_read(const struct carrier *carrier, const char *end, char ret[static 256]) {
    AUTO_FREE(char) path = text_of("%s/gnupg/%s.%s/fingerprint", carrier->options.folder, end, carrier->options.pair);
    read_line(path, ret);
}

static struct carrier *postfix_open(const struct carrier_options *options) {
    struct carrier *carrier = made(sizeof *carrier);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    carrier->options = *options;
    carrier->self = options->sender ? "sender" : "recipient";
    carrier->peer = options->sender ? "recipient" : "sender";
    carrier->running_max = cores < 1 ? 1 : cores > RUNNING_MAX ? RUNNING_MAX : (unsigned)cores;
    AUTO_FREE(char) folder = realpath(options->folder, NULL); /* gpg-agent takes no relative home */
    if (!folder) die("%s: %s", options->folder, strerror(errno));
    carrier->home = text_of("%s/gnupg/%s.%s", folder, carrier->self, options->pair);
    carrier->inbox = text_of("%s/mail/%s.%s/new", folder, carrier->self, options->pair);
    pair_prepare(carrier);
    key_read(carrier, carrier->peer, carrier->peer_key);
    carrier->agent = agent_start(carrier->home);
    sessions_open(carrier);
    inbox_open(carrier);
    return carrier;
}

/* Puts the last in the place of the one that has ended. */
static void jobs_finish(struct carrier *carrier, unsigned at) {
    struct job *job = carrier->running[at];
    carrier->running[at] = carrier->running[--carrier->running_n];
    job_finish(carrier, job);
}

static void postfix_step(struct carrier *carrier, unsigned wait_ms) {
    struct pollfd polled[1 + SESSIONS_MAX + RUNNING_MAX];
    nfds_t n = 0;
    jobs_start(carrier);
    mails_send(carrier);
    polled[n++] = (struct pollfd){.fd = carrier->watch, .events = POLLIN};
    for (unsigned i = 0; i < carrier->sessions_n; i++)
        polled[n++] = (struct pollfd){.fd = carrier->sessions[i].fd, .events = POLLIN};
    unsigned first = (unsigned)n, running = carrier->running_n;
    for (unsigned i = 0; i < running; i++)
        polled[n++] = (struct pollfd){.fd = carrier->running[i]->done, .events = POLLIN};
    if (poll(polled, n, (int)wait_ms) <= 0) return;
    if (polled[0].revents) inbox_read(carrier);
    for (unsigned i = 0; i < carrier->sessions_n; i++)
        if (polled[1 + i].revents) session_read(carrier, &carrier->sessions[i]);
    for (unsigned i = running; i-- > 0;)
        if (polled[first + i].revents) jobs_finish(carrier, i);
    jobs_start(carrier);
    mails_send(carrier);
}

static bool is_busy(const struct carrier *carrier) {
    for (unsigned i = 0; i < carrier->sessions_n; i++)
        if (carrier->sessions[i].mail) return true;
    return carrier->waiting || carrier->running_n || carrier->outgoing;
}

static void postfix_close(struct carrier *carrier) {
    while (is_busy(carrier)) postfix_step(carrier, 100);
    for (unsigned i = 0; i < carrier->sessions_n; i++) {
        struct session *session = &carrier->sessions[i];
        session_write(session, bytes_text("QUIT\r\n"));
        session_expect(session, "221");
        SSL_shutdown(session->tls);
        SSL_free(session->tls);
        close(session->fd);
    }
    SSL_CTX_free(carrier->tls);
    kill(carrier->agent, SIGKILL); /* it keeps nothing that is not in its files */
    waitpid(carrier->agent, NULL, 0);
    close(carrier->watch);
    for (size_t i = 0; i < carrier->known_n; i++) free(carrier->known[i]);
    free(carrier->known);
    free(carrier->home);
    free(carrier->inbox);
    free(carrier);
}

const struct carrier_row carrier_postfix = {
    .name = "postfix",
    .open = postfix_open,
    .send = postfix_send,
    .answer = postfix_answer,
    .step = postfix_step,
    .close = postfix_close,
};
