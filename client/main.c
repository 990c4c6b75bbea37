/* main.c - pouch, the point of contact's program: one table of commands, found by one word or two. */
#include <locale.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "commands/commands.h"
#include "sign.h"

#define ROW(function) function, function##_options

static const struct command_row {
    const char *name, *usage, *text, *examples, *help;
    int (*function)(struct run *run);
    const struct cli_option *options;
    const size_t *count;
} rows[] = {
    {"authority init", "PARTY --name NAME [--kind state|intergovernmental|observer] [--recovery FILE | --no-recovery]",
     "make a party's authority key",
     "pouch --home ~/authority authority init fj --name \"Republic of Fiji\"\n"
     "pouch --home A authority init org.first --name FIRST --kind observer --passphrase-file pp",
     "Writes PARTY.charter, for the registrar, and PARTY.nomination, a sheet with the fingerprint, into the current\n"
     "folder. Keep the home on a machine that is not connected: it alone says who the party's posts are.\n"
     "The recovery key, a separately sealed file (recovery.key in the home, or --recovery FILE), can name a new key "
     "for\n"
     "the party after this home is lost: take it away, and keep it elsewhere.",
     ROW(authority_init), &authority_init_count},
    {"authority certify", "FILE [--functions diplomatic,policy,technical] [-o CERT]", "certify a post's request",
     "pouch --home ~/authority authority certify fj-technical.request -o fj-technical.cert",
     "Without --functions they follow the desk's name: fj/technical is technical; fj/national has all three.",
     ROW(authority_certify), &authority_certify_count},
    {"authority revoke", "POST | DEVICE --post POST | FILE  [-o FILE] [--card CARD] [--reason N]",
     "revoke a post or one of its devices",
     "pouch --home ~/authority authority revoke fj/technical --card relay.card\n"
     "pouch authority revoke fj-technical.revocation --card relay.card      the slip from the safe; needs no home",
     "Makes a signed statement: a file (-o), and with --card sent to the relay at once. DEVICE is the key that\n"
     "pouch directory show POST prints. FILE sends a revocation that was made before. --reason: 0 to 255, a code of "
     "your\n"
     "own that stays in the directory.",
     ROW(authority_revoke), &authority_revoke_count},
    {"authority succeed", "[-o FILE] [--card CARD] [--again]",
     "renew the authority's key with the one it has committed to",
     "pouch --home ~/authority authority succeed --card relay.card\n"
     "pouch --home A authority succeed -o fj.succession      then, from any computer: pouch authority send "
     "fj.succession ...",
     "Every member is told. What the old key signed stays good; certificates made from now on carry the succession "
     "along.\n"
     "A run that was interrupted is repeated, and gives the same statement. --again gives the last one once more.",
     ROW(authority_succeed), &authority_succeed_count},
    {"authority recover", "--recovery-key FILE --card CARD [--directory FILE] [-o FILE]",
     "name this home's key the party's, by its recovery key",
     "pouch --home ~/new authority init fj --name \"Republic of Fiji\"\n"
     "pouch --home ~/new authority recover --recovery-key recovery.key --card relay.card",
     "For a home that authority init has made after the party's own was lost. The directory is fetched from the relay "
     "and\n"
     "checked; or read from FILE, which pouch directory export has written at a post: then nothing is sent. The "
     "recovery\n"
     "key's pass-phrase is asked for, or read from --recovery-passphrase-file. It is used up: the new home has "
     "another.",
     ROW(authority_recover), &authority_recover_count},
    {"authority take", "--card CARD [--directory FILE] [-o FILE]",
     "take over with this home's key, 14 days after the registrars' notice of it",
     "pouch --home ~/new authority take --card relay.card",
     "For a party that has lost all its keys: authority init makes new ones, the registrars give notice of them "
     "(pouchctl\n"
     "takeover), every member is told, and if nobody objects for 14 days they can be taken.",
     ROW(authority_take), &authority_take_count},
    {"authority object", "--card CARD [--recovery-key FILE] [--directory FILE] [-o FILE]",
     "object to the registrars' notice of another key", "pouch --home ~/authority authority object --card relay.card",
     "The notice is void at once. By the authority's key, or by its recovery key with --recovery-key.",
     ROW(authority_object), &authority_object_count},
    {"authority depart", "[--reason TEXT] [-o FILE] [--card CARD]", "leave the directory",
     "pouch --home ~/authority authority depart --reason \"merged\" --card relay.card",
     "Nothing new can be sent by or to the party's posts; what is open goes on. The registrars can admit it again.",
     ROW(authority_depart), &authority_depart_count},
    {"authority split", "POST --into POST,POST... | --back  [-o FILE] [--card CARD]",
     "let several posts take over what one did",
     "pouch --home ~/authority authority split fj/national --into fj/diplomatic,fj/technical --card relay.card\n"
     "pouch --home ~/authority authority split fj/national --back --card relay.card",
     "The posts exist already; together they have all functions of the one that is split. New requests go to the one\n"
     "with the request's function; what is open finishes where it is.",
     ROW(authority_split), &authority_split_count},
    {"authority send", "FILE --card CARD", "send a statement file to a relay; needs no home",
     "pouch authority send fj.succession --card relay.card", "", ROW(authority_send), &authority_send_count},
    {"init", "POST [--device [--role decider|reader|bell]] [--validity 400d]", "make a post's keys",
     "pouch --home ~/fj init fj/technical\npouch --home H init fj/technical --no-passphrase\n"
     "pouch --home ~/second init fj/technical --device      a further device, which the authority certifies",
     "Writes POST's request, for the authority to certify, and its revocation slip into the current folder; the post\n"
     "key is a separately sealed file in the home, to be taken away. --validity, 1d to 400d: how long the device's\n"
     "certificate is good, unless it renews itself, which it does in time.",
     ROW(post_init), &post_init_count},
    {"join", "--card CARD --cert CERT [--fingerprint N]", "register this device at a relay",
     "pouch --home ~/fj join --card relay.card --cert fj-technical.cert\n"
     "pouch --home H join --card relay.card --cert C --fingerprint \"12345 67890 ...\"",
     "Compare the card's fingerprint with the relay's operator, by telephone. Joining again does no harm.",
     ROW(post_join), &post_join_count},
    {"directory list", "", "parties and posts", "pouch directory list\npouch directory list --json | jq .post", "",
     ROW(directory_list), &directory_list_count},
    {"directory show", "POST", "one post and its devices", "pouch directory show de/technical", "", ROW(directory_show),
     &directory_show_count},
    {"directory phrase", "[--at SIZE]", "the digits to read to another member by telephone",
     "pouch directory phrase\npouch directory phrase --at 42",
     "Ten groups of five digits over the relay's card and the directory. Members who have the same digits at the same\n"
     "size are shown the same posts and keys. Read the size aloud, too; where sizes differ, compare at the smaller "
     "one.",
     ROW(directory_phrase_show), &directory_phrase_show_count},
    {"directory compare", "DIGITS [--at SIZE]", "compare the digits that another member reads aloud",
     "pouch directory compare --at 42 12345 67890 ...\npouch directory compare \"12345-67890-...\" --at 42",
     "Blanks, dashes and dots are passed over. --at: the size that the other side reads aloud; else this home's.\n"
     "Exit code 4 when the digits differ, 1 when this home has not seen that many entries.",
     ROW(directory_compare), &directory_compare_count},
    {"directory export", "[--public [--html]] [-o FILE]", "the whole directory, for others to check or to read",
     "pouch directory export -o directory.hex\npouch directory export --public -o directory.json\n"
     "pouch directory export --public --html -o directory.html",
     "One line an entry of the log, in order: its bytes as the relay gave them, in hex; with --json {\"index\",\n"
     "\"leaf\"}.\n"
     "--public: only what posts have made public of their contact cards, by party, as one JSON object or, with "
     "--html,\n"
     "as one page that needs nothing beside it and prints on A4. Who made nothing public is not in it.",
     ROW(directory_export), &directory_export_count},
    {"card show", "[POST]", "a contact card: this post's own, with who may see what; or another's",
     "pouch card show\npouch card show de/technical --json | jq .fields.phone.value", "", ROW(card_show),
     &card_show_count},
    {"card edit", "[FILE|-]", "this post's contact card, in $EDITOR", "pouch card edit\npouch card edit card.txt",
     "One field a line: field: value  [audience]. An audience is nobody (it never leaves this post's devices),\n"
     "members, public, or parties: [fj, fr]. A line that is taken out is taken off the card. With FILE or - the text "
     "is\n"
     "read from there.",
     ROW(card_edit), &card_edit_count},
    {"card set", "FIELD VALUE [--for nobody|members|public|PARTY,PARTY] | FIELD --for ... | FIELD --erase",
     "one field of this post's contact card",
     "pouch card set phone \"+49 30 1234567\"\npouch card set mobile \"+49 170 1234567\" --for fj,fr\n"
     "pouch card set hours \"Mon-Fri 08:00-17:00\" ; pouch card set time-zone Europe/Berlin\n"
     "pouch card set mobile --erase",
     "Fields: office, person, title, organisation, level, phone, mobile, e-mail, languages, hours, time-zone, region,\n"
     "fallback, away-until, stand-in, note. Without --for a field keeps its audience; at first person and mobile are\n"
     "for nobody, all else for members. The new card takes the old one's place at the relay, which erases that.",
     ROW(card_set), &card_set_count},
    {"card erase", "", "take this post's contact card back, here and at the relay", "pouch card erase", "",
     ROW(card_erase), &card_erase_count},
    {"away", "--until T [--to POST] | --end", "tell senders that nobody is here, and who stands in",
     "pouch away --until 3d --to de/national\npouch away --until 2026-12-24T12:00Z\npouch away --end",
     "Stands on the contact card. T: a duration, a date, or a time (Z: UTC; else this machine's). POST: of the same\n"
     "party.",
     ROW(card_away), &card_away_count},
    {"send",
     "--to POST[,POST...] [-s SUBJECT] [--kind incident|clarification|assistance|notice|ping] [--tlp LABEL]\n"
     "           [--pap LABEL] [--precedence routine|priority|immediate|flash] [--answer-by 24h] [--keep 30d]\n"
     "           [--summary TEXT] [--language TAG] [--offer-only] [--attach FILE]... [--exercise]\n           "
     "[--disclosure both] [FILE|-]",
     "send a request",
     "pouch send --to de/technical -s \"Phishing from your network\" --tlp amber report.txt\n"
     "pouch send --to de,fr,fj --kind ping --exercise --offer-only -s \"Communications check\" --keep 1h\n"
     "mail2text | pouch send --to de --kind clarification -s \"Your note of 3 May\" --answer-by 24h -",
     "A bare party (de) stands for its post for the kind: diplomatic for a clarification, technical for all else. The\n"
     "subject, the summary and the markings are the offer, which the recipient sees before deciding; the text and the\n"
     "attachments are the body, handed over after acceptance. Without FILE on a terminal, $EDITOR opens.\n"
     "--disclosure both asks that others are shown it only with the consent of both sides (pouch consent).",
     ROW(request_send), &request_send_count},
    {"reply", "ID [--to POST] [--attach FILE]... [--keep 30d] [FILE|-]", "reply within an accepted exchange",
     "pouch reply 3 answer.txt\necho \"We are looking into it.\" | pouch reply K7Q-M2F -",
     "--to is needed only where one's own request was accepted by several posts.", ROW(request_reply),
     &request_reply_count},
    {"inbox", "[--all]", "requests that this post has received", "pouch inbox\npouch inbox --all --json", "",
     ROW(inbox_inbox), &inbox_inbox_count},
    {"sent", "[--all]", "requests that this post has sent", "pouch sent\npouch sent --all --json", "", ROW(inbox_sent),
     &inbox_sent_count},
    {"show", "ID [--body -] [--save DIR]", "one request: its offer; after acceptance its body",
     "pouch show 3\npouch show K7Q-M2F --body - | less\npouch show 3 --save attachments/",
     "--body - writes the body's bytes alone to stdout. --save writes attachments; it never overwrites a file.",
     ROW(inbox_show), &inbox_show_count},
    {"accept", "ID [--note TEXT] [--consent]", "take the text; this agrees to nothing",
     "pouch accept 3\npouch accept K7Q-M2F --json", "", ROW(decide_accept), &decide_accept_count},
    {"decline", "ID [--reason CODE] [--note TEXT] [--consent]", "refuse a request",
     "pouch decline 3\n"
     "pouch decline 3 --reason not-competent --note \"Please ask fj/national.\"",
     "A reason is optional: not-competent, no-capacity, duplicate, misaddressed, policy, authentication, encryption,\n"
     "unrecognized-format, cannot-process, system-resource, other. The note is sealed: only the sender can read it.",
     ROW(decide_decline), &decide_decline_count},
    {"ack", "ID [--note TEXT] [--consent]", "say: we have it",
     "pouch ack 3\npouch ack 3 --note \"Received; under analysis.\"", "", ROW(decide_ack), &decide_ack_count},
    {"forward", "ID POST", "pass a request on to another post of this party",
     "pouch forward 3 de/diplomatic\npouch forward K7Q-M2F fj/national --json",
     "Possible until this post has decided; then the other post decides, and its replies go to the sender, who sees\n"
     "where it went. This post keeps what it has read, and hears no more of it. Needs the relay.",
     ROW(decide_forward), &decide_forward_count},
    {"close", "ID [--consent]", "close an exchange to further replies", "pouch close 3", "", ROW(decide_close),
     &decide_close_count},
    {"withdraw", "ID [--to POST] [--consent]", "take a request back",
     "pouch withdraw 2\npouch withdraw 2 --to de/technical", "Possible until the recipient has decided.",
     ROW(decide_withdraw), &decide_withdraw_count},
    {"track", "ID", "the evidence of every step", "pouch track 3\npouch track K7Q-M2F --json", "", ROW(evidence_track),
     &evidence_track_count},
    {"evidence", "ID -o FILE [--to POST] [--open offer|body] [--html FILE]",
     "write what happened into a file that proves it",
     "pouch evidence K7Q-M2F -o answer.evidence\npouch evidence 3 --to fj/national --html answer.html -o "
     "answer.evidence\n"
     "pouch evidence 3 --open offer -o answer.evidence",
     "The file holds the header, every step of each recipient with its proof, and the entries of the directory that "
     "make the\n"
     "keys meaningful - not the content. Whoever gets it checks it with `pouch verify`, offline, trusting nobody.\n"
     "--to: of one recipient only; the file then does not tell of the others. --open: the key and ciphertext of the "
     "summary\n"
     "(offer) or of the text (body) go with it, so that exactly this can be read. --html: a page to read and print as "
     "well.\n"
     "A request that was sent with --disclosure both asks before, as long as the other side has not consented.\n"
     "Without the relay it works too; the steps' log positions are then not tied together by a later head.",
     ROW(exhibit_evidence), &exhibit_evidence_count},
    {"wait", "[ID...] --for STATE [--any] [--timeout 60s]", "wait for a state; for scripts",
     "pouch wait 3 --for acknowledged --timeout 5m\npouch wait --for notified --any",
     "Without ID: the open requests, received and sent, also those that come meanwhile. With --any one leg is enough.\n"
     "A state counts as reached when the leg has been in it or beyond it. Exit code 6 when time runs out, 1 when the\n"
     "state can no longer come.",
     ROW(evidence_wait), &evidence_wait_count},
    {"explain", "ID", "the history in plain words, and what can be done next", "pouch explain 3", "",
     ROW(evidence_explain), &evidence_explain_count},
    {"consent", "ID [--to POST]", "agree that others may be shown what was exchanged",
     "pouch consent 3\npouch consent 2 --to de/technical      of one's own request to several posts",
     "Either side may, from the acceptance to the end of the exchange; also beside a step: pouch accept --consent,\n"
     "decline, ack, close, withdraw likewise. Whoever is shown the evidence sees who consented. A request that was "
     "sent\n"
     "with --disclosure both asks for the consent of both sides; that a step happened can be proven without. Consent\n"
     "cannot be taken back.",
     ROW(decide_consent), &decide_consent_count},
    {"policy show", "", "this device's standing policy", "pouch policy show\npouch policy show > policy.yaml",
     "As it was written; with --json also as it was understood. Without one, an example to begin with: all of it is\n"
     "commented out.",
     ROW(policy_show), &policy_show_count},
    {"policy set", "FILE|-", "what this device does about requests by itself",
     "pouch policy set policy.yaml\npouch policy show | sed 's/ask/decline/' | pouch policy set -",
     "A YAML file: rules, the first that fits counts, and where none fits you are asked.\n\n"
     "   opened: not-disclosed          # or disclosed: tell every sender that the offer was looked at\n"
     "   rules:\n"
     "     - {from: org.first, kind: ping, exercise: yes, then: accept}\n"
     "     - {from: [xx, yy/technical], then: ignore}\n"
     "     - {kind: notice, precedence: routine, then: decline, reason: no-capacity}\n\n"
     "from: a party, a post, a list of them, or any. kind, precedence: a word, a list, or any. exercise: yes, no, "
     "any.\n"
     "then: accept, ask, decline (with a reason, if you like) or ignore. A machine's decision is marked as a "
     "machine's.\n"
     "What is ignored is listed with pouch inbox --all only; its sender sees what silence looks like. Applies to what\n"
     "comes from now on, on this device alone: set it on the post's other devices, too.",
     ROW(policy_set_file), &policy_set_file_count},
    {"policy check", "FILE|-", "read a policy without setting it", "pouch policy check policy.yaml",
     "Every mistake is named with line and column. Needs no home.", ROW(policy_check), &policy_check_count},
    {"device invite",
     "[--role decider|reader|bell] [--post-key FILE] [--for 15m] [--new] [--no-wait] [--qr] [--fingerprint N]",
     "link another device of this post by a one-time code",
     "pouch device invite\npouch device invite --role bell --post-key /media/usb/post.key --for 1h",
     "Shows a code (and a QR code) for the new device: there, pouch link CODE. Then it waits for it, shows its\n"
     "fingerprint, asks whether the new device shows the same, certifies it with the post key and countersigns it "
     "with\n"
     "this device's. Interrupted, it goes on with the same code as long as that is good; --new gives out another one.\n"
     "--no-wait only makes the code; run it again, without, once the new device is at work. Only a decider can.",
     ROW(device_invite), &device_invite_count},
    {"device list", "", "this post's devices", "pouch device list\npouch device list --json", "", ROW(device_list),
     &device_list_count},
    {"device revoke", "DEVICE|N [--reason N]", "revoke a device of this post, at once",
     "pouch device revoke 2\npouch device revoke 3fa94c --yes",
     "For a device that is lost or no longer used: from any decider of the post, or the device itself. DEVICE is the\n"
     "beginning of its key, N its number in pouch device list. Nothing takes it back; link a new device instead.\n"
     "--reason: 0 to 255, a code of your own that stays in the directory.",
     ROW(device_revoke), &device_revoke_count},
    {"link", "CODE|- [--card CARD] [--name NAME] [--for 15m]", "make this machine a further device of a post",
     "pouch --home ~/desk link 9F3K-0TQA-... --card relay.card --name \"night desk\"\n"
     "pouch --home ~/desk link \"POUCH-LINK:9F3K-...:pouch-relay-card 0 ...\"",
     "CODE is what pouch device invite shows on an older device of the post; the text of its QR code holds the "
     "relay's\n"
     "card as well. Makes keys in a new home, shows their fingerprint, waits for the older device, joins, and reads "
     "what\n"
     "the post has received and sent. Interrupted, it goes on when it is run again with the same code. Exit code 6\n"
     "when nobody answered in time. With - the code is read from standard input, where no other user of the machine\n"
     "sees it.",
     ROW(device_link), &device_link_count},
    {"agent", "[--once]", "keep this home up to date in the background",
     "pouch agent\npouch agent --json | while read -r line; do ...; done",
     "Keeps the link to the relay, syncs at every hint, renews day keys, and says on stderr (with --json on stdout) "
     "what\n"
     "has come, one line each. It decides what the standing policy (pouch policy) says. Other commands work beside it. "
     "Ends at SIGTERM; --once syncs once.",
     ROW(agent_agent), &agent_agent_count},
    {"pair new", "PARTY [-o FILE] [--require]", "make a secret shared with another party",
     "pouch pair new de\npouch pair new de --require -o de.secret",
     "Shows the secret once (or writes it to FILE), to be carried to the other party by hand. Requests to it are then\n"
     "sealed under the secret as well, which also withstands a quantum computer. With --require nothing goes to the\n"
     "party without one.",
     ROW(pair_new), &pair_new_count},
    {"pair add", "PARTY [-|--file FILE] [--require]", "read in a secret that another party has made",
     "pouch pair add fj\npouch pair add fj --file fj.secret",
     "Asks for the secret on the terminal; - reads it from standard input. The id shown must be the same on both\n"
     "sides. What was sealed under it before is opened now.",
     ROW(pair_add), &pair_add_count},
    {"pair list", "", "secrets shared with other parties", "pouch pair list\npouch pair list --json", "",
     ROW(pair_list), &pair_list_count},
    {"pair require", "PARTY [--off]", "send nothing to a party without a shared secret",
     "pouch pair require de\npouch pair require de --off",
     "Where recipients with a shared secret and others without meet in one request, the client sends two. What comes\n"
     "from such a party without the secret is shown with a warning.",
     ROW(pair_require), &pair_require_count},
    {"pair remove", "PARTY ID", "destroy a shared secret", "pouch pair remove de 3f2a",
     "On the post's other devices, too, when they next sync. ID may be any unique beginning.", ROW(pair_remove),
     &pair_remove_count},
    {"backup", "DIR [--keep N]", "keys and archive as one sealed file, and its key on paper",
     "pouch backup /media/usb\npouch backup /media/usb --keep 3",
     "Writes pouch-POST-TIME.backup and pouch-POST-TIME.sheet.txt, which holds its key: print the sheet, put it in a\n"
     "safe and delete the file. --keep N deletes all but the N newest backups of this post. The home's pass-phrase\n"
     "is still needed after a restore.",
     ROW(backup_backup), &backup_backup_count},
    {"restore", "FILE|DIR [--key-file FILE]", "make a home from a backup",
     "pouch --home ~/new restore pouch-fj-technical-20260131T120000Z.backup\n"
     "pouch --home ~/new restore /media/usb --key-file sheet.txt",
     "The home must be empty. Asks for the key on the sheet. Then run pouch sync: what was sent and received after "
     "the\n"
     "backup comes back from the relay, and only then can anything new be sent. If the old device may be in foreign\n"
     "hands, revoke it and use init instead.",
     ROW(backup_restore), &backup_restore_count},
    {"audit", "[--backup DIR] [--report FILE] [--card CARD] [--all]",
     "replay the relay's logs, and look for contradictions",
     "pouch audit\npouch audit --all --report audit.txt\npouch audit --card relay.card\n"
     "pouch audit --backup /media/usb/relay-2026-05-03 --report audit.txt",
     "Fetches the directory, the leaf hashes of the evidence log and the signed heads, recomputes every root, replays "
     "the\n"
     "directory by its rules, and holds this home's receipts and histories against them. Only what is new since the "
     "last\n"
     "audit that found nothing is read; --all reads all. --card: as a guest, without a home. --backup: what\n"
     "`pouchctl backup` has written, with every receipt in it. The report names no content, and correspondents only "
     "of\n"
     "what this home holds itself. Exit code 4 when something does not hold; where two signatures contradict each\n"
     "other there is a proof for pouch verify.",
     ROW(audit_audit), &audit_audit_count},
    {"witness init", "NAME", "make a witness's key", "pouch --home ~/witness witness init witness.example",
     "Prints the line that the relay's operator puts into the card. NAME is the witness's own, without blanks.",
     ROW(witness_init), &witness_init_count},
    {"witness run", "--card CARD [--once] [--interval 10s]", "cosign the relay's two logs, as long as they hold",
     "pouch --home ~/witness witness run --card relay.card\n"
     "pouch --home ~/witness witness run --card relay.card --once",
     "Asks the relay for the newest signed heads of its directory and its evidence log, cosigns each if it continues\n"
     "the last one of that log and its time is right, and gives it back. Ends with exit code 4 when the relay\n"
     "contradicts itself; the proof is kept in proofs/.",
     ROW(witness_run), &witness_run_count},
    {"witness sign", "FILE --card CARD -o FILE", "cosign by file, where there is no link",
     "pouch --home ~/witness witness sign request.txt --card relay.card -o cosigned.txt",
     "FILE is an add-checkpoint request that the relay's operator made; the answer is the head's note with this\n"
     "witness's signature.",
     ROW(witness_sign), &witness_sign_count},
    {"witness status", "", "what this witness has cosigned last", "pouch --home ~/witness witness status", "",
     ROW(witness_status), &witness_status_count},
    {"verify", "FILE [--card CARD] [--key HEX]... [--html FILE]", "check a proof or evidence, offline",
     "pouch verify answer.evidence --card relay.card\npouch verify answer.evidence --card relay.card --html "
     "answer.html\n"
     "pouch verify proofs/fraud-1f0c23ab.proof --json",
     "Says what is proven, by whom and where in the log, and what is not. Needs no home and no network. Exit code 4, "
     "the\n"
     "reason and the place when anything does not hold. --card: the relay's card, got from its operator or another "
     "member,\n"
     "not from whoever gave you the file. --key: instead, keys of it that you know (the lines statement, log, "
     "and every registrar).\n"
     "--html: of evidence, a page to read and print.",
     ROW(verify_verify), &verify_verify_count},
    {"news", "[--all]", "what has changed in the directory", "pouch news\npouch news --all --json",
     "Keys that changed, notices, admissions, suspensions, departures, splits, revocations; devices of this post. Each "
     "is\n"
     "also told once, on stderr, by whatever command comes first. Without --all: what was not listed here before.",
     ROW(home_news), &home_news_count},
    {"sync", "", "send what waits, fetch what is new", "pouch sync", "", ROW(home_sync), &home_sync_count},
    {"status", "", "how things stand; also bare pouch", "pouch\npouch status --json", "", ROW(home_status),
     &home_status_count},
};

static const char shared_help[] = "Options of every command:\n"
                                  "  --home DIR              the home (else $POUCH_HOME, else the XDG data folder)\n"
                                  "  --json                  one object, or one object a line\n"
                                  "  --quiet                 no talk on stderr but errors\n"
                                  "  --no-color              no colour (also: NO_COLOR)\n"
                                  "  --yes                   no questions\n"
                                  "  --offline               do not try to reach the relay\n"
                                  "  --officer, --machine    who speaks, in evidence; without: an officer at a\n"
                                  "                          terminal, a machine elsewhere\n"
                                  "  --passphrase-file FILE  the pass-phrase's file (- for standard input)\n"
                                  "  --no-passphrase         at init: an unsealed key store, for tests and hosts that\n"
                                  "                          are protected otherwise\n";

static void examples(const char *text, FILE *out) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        fprintf(out, "  %.*s\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

/* A word, or what stands between brackets. */
static int word_length(const char *text) {
    int n = 0, depth = 0;
    for (; text[n] && (depth > 0 || !strchr(" \n", text[n])); n++) depth += (text[n] == '[') - (text[n] == ']');
    return n;
}

/* Words flow to a terminal of 80 columns, wherever the table breaks them; further lines are indented. */
static void flow(const char *text, int column, int indent, FILE *out) {
    bool first = column == 0;
    while (*(text += strspn(text, " \n"))) {
        int n = word_length(text);
        bool breaks = !first && column + 1 + n > 79;
        if (breaks) fprintf(out, "\n%*s", indent, "");
        column = breaks ? indent + n : column + n + !first;
        fprintf(out, "%s%.*s", breaks || first ? "" : " ", n, text);
        first = false;
        text += n;
    }
    fputc('\n', out);
}

void run_help(const struct command *command) {
    fputs("Examples:\n", stdout);
    examples(command->examples, stdout);
    flow(command->usage, printf("\nUsage: pouch %s", command->name) - 1, 11, stdout);
    fputc('\n', stdout);
    flow(command->text, printf("%s:", command->name), 0, stdout);
    if (*command->help) flow(command->help, 0, 0, stdout);
    printf("\n%s", shared_help);
}

static void help(FILE *out) {
    fputs("pouch - sealed requests between points of contact\n\n"
          "Examples:\n"
          "  pouch                                   how things stand\n"
          "  pouch inbox                             what has come\n"
          "  pouch accept 3                          take the text of number 3; this agrees to nothing\n"
          "  pouch send --to de -s Question note.txt ask the technical post of de\n\n"
          "Commands (pouch COMMAND --help):\n",
          out);
    for (size_t i = 0; i < LENGTH(rows); i++) fprintf(out, "  %-18s %s\n", rows[i].name, rows[i].text);
    fprintf(out, "\n%s", shared_help);
}

static const struct command_row *named(const char *name) {
    for (size_t i = 0; i < LENGTH(rows); i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

/* A table row, found by the word just read and, for two-word names, the one after it. */
static const struct command_row *find(struct cli_args *args) {
    const char *first = args->value, *second = *args->argv;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        size_t n = strcspn(rows[i].name, " ");
        if (strlen(first) != n || strncmp(first, rows[i].name, n) != 0) continue;
        if (!rows[i].name[n]) return &rows[i];
        if (!second || strcmp(second, rows[i].name + n + 1) != 0) continue;
        args->argv++;
        return &rows[i];
    }
    static const char *const looks[][2] = {{"directory", "directory list"},
                                           {"card", "card show"},
                                           {"pair", "pair list"},
                                           {"device", "device list"},
                                           {"witness", "witness status"}};
    bool bare = !second || second[0] == '-';
    for (size_t i = 0; bare && i < LENGTH(looks); i++)
        if (strcmp(first, looks[i][0]) == 0) return named(looks[i][1]);
    return NULL;
}

/* The first word of commands of two. */
static bool is_family(const char *word) {
    for (size_t i = 0; i < LENGTH(rows); i++) {
        size_t n = strcspn(rows[i].name, " ");
        if (rows[i].name[n] && strlen(word) == n && strncmp(word, rows[i].name, n) == 0) return true;
    }
    return false;
}

static int unknown_command(struct run *run) {
    const char *names[LENGTH(rows)], *first = run->args.value, *second = *run->args.argv;
    char near[64] = "", word[96];
    bool two = second && second[0] != '-', family = is_family(first);
    for (size_t i = 0; i < LENGTH(rows); i++) names[i] = rows[i].name;
    snprintf(word, sizeof word, "%.40s%s%.40s", first, two ? " " : "", two ? second : "");
    cli_suggest(word, names, LENGTH(rows), near, sizeof near);
    if (!family && !*near) {
        snprintf(word, sizeof word, "%.40s", first);
        cli_suggest(word, names, LENGTH(rows), near, sizeof near);
    }
    return cli_fail_hint(&run->cli, E_USAGE, "pouch --help lists the commands", "there is no command %s%s", word, near);
}

static int run_row(struct run *run, const struct command_row *row) {
    struct command command = {row->name, row->usage,    row->text,    row->examples,
                              row->help, row->function, row->options, *row->count};
    size_t n = 0;
    for (size_t i = 0; i < run_shared_count; i++) run->options[n++] = run_shared_options[i];
    for (size_t i = 0; i < command.option_count && n < RUN_OPTIONS_MAX; i++) run->options[n++] = command.options[i];
    run->args.options = run->options;
    run->args.count = n;
    run->command = &command;
    int exit_code = command.function(run);
    int breach = run_breach(run); /* whatever else is to be said */
    if (breach) exit_code = breach;
    run_close(run);
    return exit_code;
}

/* Shared options may stand before the command, too. */
static int dispatch(struct run *run) {
    run->args.options = run_shared_options;
    run->args.count = run_shared_count;
    for (;;) {
        int id = cli_next(&run->args);
        if (run_shared(run, id)) continue;
        if (id == 'h') return help(stdout), 0;
        if (id == CLI_BAD && strstr(run->args.problem, "--version")) return puts("pouch " POUCH_VERSION) < 0 ? 3 : 0;
        if (id == CLI_BAD) return cli_fail(&run->cli, E_USAGE, "%s", run->args.problem);
        if (id == CLI_END) return run_row(run, named("status"));
        if (strcmp(run->args.value, "help") == 0) return help(stdout), 0;
        const struct command_row *row = find(&run->args);
        return row ? run_row(run, row) : unknown_command(run);
    }
}

/* An error before --json was read is said as a script wants it, too. */
static bool wants_json(char *const *argv) {
    for (; *argv && strcmp(*argv, "--") != 0; argv++)
        if (strcmp(*argv, "--json") == 0) return true;
    return false;
}

int main(int argc, char **argv) {
    struct run run = {.cli = {.program = "pouch"}, .officer = isatty(STDIN_FILENO) == 1};
    (void)argc;
    setlocale(LC_CTYPE, "C.UTF-8"); /* widths; formats and messages stay as they are */
#ifndef __SANITIZE_ADDRESS__        /* its leak checker traces the process */
    prctl(PR_SET_DUMPABLE, 0);
#endif
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    run.args.argv = argv + (argv[0] ? 1 : 0);
    run.cli.json = wants_json(run.args.argv);
    run_catch_interrupt();
    enum error error = sign_self_test();
    int exit_code = error == E_OK ? dispatch(&run) : cli_fail(&run.cli, error, "libsodium");
    /* ferror: what was flushed line by line may have failed long before. */
    bool lost = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (lost && exit_code == 0) exit_code = cli_fail(&run.cli, E_IO, "standard output");
    return exit_code;
}
