/* device.c - a post's devices: another one invited and linked, all listed, one revoked. */
#include <errno.h>
#include <sodium.h>
#include <time.h>

#include "commands.h"
#include "files.h"
#include "invite.h"
#include "linkup.h"
#include "qr.h"
#include "sisters.h"
#include "text.h"
#include "units.h"
#include "words.h"

enum {
    OPTION_ROLE = 1,
    OPTION_POST_KEY,
    OPTION_FOR,
    OPTION_NO_WAIT,
    OPTION_NEW,
    OPTION_QR,
    OPTION_FINGERPRINT,
    OPTION_CARD,
    OPTION_NAME,
    OPTION_REASON,
    CARD_MAX = 64 * 1024,
    LOOK_MS = 700,
    DEVICE_NAME_MAX = 64,
};

static uint64_t ticks_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void nap(unsigned ms) { nanosleep(&(struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000L}, NULL); }

/* A role as the last option named it. */
static bool take_role(struct run *run, enum device_role *ret, int *ret_exit) {
    unsigned role = 0;
    if (!run_word(run, WORDS_ROLE, &role, ret_exit)) return false;
    *ret = (enum device_role)role;
    return true;
}

static void device_hex(const uint8_t key[static KEY_SIZE], char ret[static 2 * KEY_SIZE + 1]) {
    text_hex(key, KEY_SIZE, ret);
}

/* ---- invite ---- */

COMMAND_OPTIONS(device_invite, {"role", OPTION_ROLE, true}, {"post-key", OPTION_POST_KEY, true},
                {"for", OPTION_FOR, true}, {"no-wait", OPTION_NO_WAIT, false}, {"new", OPTION_NEW, false},
                {"qr", OPTION_QR, false}, {"fingerprint", OPTION_FINGERPRINT, true});

struct inviting {
    struct invite_options options;
    const char *post_key, *fingerprint;
    bool no_wait, qr;
};

/* "POUCH-LINK:CODE:CARD": all that the new device needs. */
static enum error payload_of(const struct run *run, const struct invitation *invitation, struct buf *out) {
    buf_add_bytes(out, bytes_text("POUCH-LINK:"));
    buf_add_bytes(out, bytes_text(invitation->code));
    buf_add_bytes(out, bytes_text(":"));
    card_format(&run->home.card, out);
    buf_add(out, "", 1);
    return buf_error(out);
}

/* With the card where the window has room for so large a code; else the code alone. */
static void print_qr(const struct run *run, const struct invitation *invitation, const char *payload) {
    char alone[32 + TEXT_CODE_SIZE];
    size_t room = run->look.width ? run->look.width : SIZE_MAX;
    snprintf(alone, sizeof alone, "POUCH-LINK:%s", invitation->code);
    size_t width = qr_width(payload);
    const char *text = width > 0 && width <= room ? payload : alone;
    if (qr_width(text) > room || !qr_print(stdout, text, run->look.color)) return;
    if (text == alone) run_say(run, "(the window is too narrow for the relay's card: the new device needs --card)");
}

static void print_invitation(struct run *run, const struct inviting *what, const struct invitation *invitation,
                             const char *payload) {
    const struct keptinvitation *record = &invitation->record;
    char time[TIME_SIZE];
    if (run->cli.json) {
        present_json(stdout, json_pack("{s:s, s:s, s:s, s:s, s:o}", "code", invitation->code, "payload", payload,
                                       "post", run->home.post, "role", words_name(WORDS_ROLE, record->role), "expires",
                                       present_json_time(record->expires)));
        fflush(stdout);
        return;
    }
    printf("%s\n\n", invitation->code);
    if (what->qr || run->look.terminal) print_qr(run, invitation, payload);
    printf("On the new device:  pouch --home DIR link %s --card relay.card\n", invitation->code);
    printf("It will be a %s of %s. The code is good for one device, until %s.\n", words_name(WORDS_ROLE, record->role),
           run->home.post, present_time(&run->look, record->expires, time));
    fflush(stdout);
}

/* Lets others use the home for a moment. */
static enum error pause_a_moment(struct run *run) {
    home_unlock(&run->home);
    nap(LOOK_MS);
    return home_relock(&run->home, &run->failure);
}

static enum error wait_for_ask(struct run *run, struct invitation *invitation) {
    for (;;) {
        TRY(invite_look(&run->home, run->relay, invitation, &run->failure));
        if (invitation->record.has_device) return E_OK;
        TRY(pause_a_moment(run));
    }
}

static enum error refuse(struct run *run, enum error error) {
    TRY(invite_end(&run->home, "a device that asked to be linked did not show the expected fingerprint",
                   &run->failure));
    error = fail(&run->failure, error, "the new device was not linked, and the code is good for nothing any more");
    fail_hint(&run->failure, "if the new device shows another number, somebody else used the code: give a new one over "
                             "another way");
    return error;
}

/* That it is the device that the code was meant for, only a person can see who has both screens, or the other on the line. */
static enum error confirm(struct run *run, const struct inviting *what, const struct invitation *invitation,
                          char ret[static TEXT_FINGERPRINT_SIZE]) {
    const struct keptinvitation *record = &invitation->record;
    uint8_t hash[HASH_SIZE];
    invite_fingerprint(record->device, record->transport, hash);
    text_fingerprint(hash, ret);
    if (what->fingerprint)
        return text_fingerprint_matches(hash, what->fingerprint) ? E_OK : refuse(run, E_WRONG_FINGERPRINT);
    if (run->yes) return E_OK;
    if (!run_can_ask(run)) {
        enum error error = fail(&run->failure, E_NEEDS_TERMINAL, "the new device's fingerprint: %s", ret);
        fail_hint(&run->failure,
                  "compare it with what the new device shows, then run this again with --fingerprint N; or "
                  "--yes to go without");
        return error;
    }
    AUTO_BUF name = {0}; /* whoever has the code chose it: it must not move the cursor to the fingerprint */
    if (record->has_name) text_for_terminal(record->name, false, &name);
    TRY(buf_error(&name));
    fprintf(stderr, "\nA device%s%s asks to be linked. Its fingerprint is\n\n    %s\n\n", name.n ? ", " : "",
            name.n ? (const char *)name.p : "", ret);
    if (run_ask(run, false, "Does the new device show the same number?")) return E_OK;
    return refuse(run, E_WRONG_FINGERPRINT);
}

static void print_linked(struct run *run, const uint8_t device[static KEY_SIZE], const char *fingerprint, unsigned role,
                         const char *name) {
    char hex[2 * KEY_SIZE + 1];
    device_hex(device, hex);
    if (!run->cli.json) {
        printf("linked: a further %s of %s, %.8s\n", words_name(WORDS_ROLE, role), run->home.post, hex);
        return;
    }
    json_t *object = json_pack("{s:s, s:s, s:s, s:s}", "device", hex, "fingerprint", fingerprint, "post",
                               run->home.post, "role", words_name(WORDS_ROLE, role));
    if (*name) json_object_set_new(object, "name", present_json_text(bytes_text(name)));
    present_json(stdout, object);
}

static enum error link_asking(struct run *run, const struct inviting *what, const struct secret *post_key,
                              struct invitation *invitation) {
    char fingerprint[TEXT_FINGERPRINT_SIZE], name[DEVICE_NAME_MAX + 1] = "";
    uint8_t device[KEY_SIZE];
    unsigned role = (unsigned)invitation->record.role;
    TRY(wait_for_ask(run, invitation));
    TRY(confirm(run, what, invitation, fingerprint));
    memcpy(device, invitation->record.device, KEY_SIZE);
    TRY(invite_certify(&run->home, run->relay, post_key, invitation, &run->failure));
    TRY(invite_name(&run->home, device, name));
    print_linked(run, device, fingerprint, role, name);
    return E_OK;
}

static enum error connected(struct run *run) {
    TRY(run_open_post(run));
    TRY(run_sync(run));
    if (run->relay) return E_OK;
    run->failure = run->link_failure;
    return run->link;
}

static enum error invite(struct run *run, const struct inviting *what, struct keystore *post_key) {
    AUTO_INVITATION invitation = {0};
    AUTO_BUF payload = {0};
    TRY(connected(run));
    TRY(invite_check(&run->home, run->relay, &run->failure));
    if (!what->no_wait)
        TRY(invite_post_key(&run->home, what->post_key, (const char *)run->passphrase.p, post_key, &run->failure));
    TRY(invite_begin(&run->home, run->relay, &what->options, &invitation, &run->failure));
    TRY(payload_of(run, &invitation, &payload));
    print_invitation(run, what, &invitation, (const char *)payload.p);
    return what->no_wait ? E_OK : link_asking(run, what, &post_key->post, &invitation);
}

static bool take_time(struct run *run, uint64_t *ret_s, int *ret_exit) {
    if (!run_duration(run, ret_s, ret_exit)) return false;
    if (*ret_s > 0 && *ret_s <= INVITE_MAX_S) return true;
    *ret_exit = run_usage_text(run, "a code is good for at most 24h");
    return false;
}

int device_invite(struct run *run) {
    struct inviting what = {0};
    struct keystore post_key = {0};
    int exit_code;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_ROLE:
            if (!take_role(run, &what.options.role, &exit_code)) return exit_code;
            what.options.has_role = true;
            break;
        case OPTION_POST_KEY: what.post_key = run->args.value; break;
        case OPTION_FOR:
            if (!take_time(run, &what.options.valid_s, &exit_code)) return exit_code;
            break;
        case OPTION_NO_WAIT: what.no_wait = true; break;
        case OPTION_NEW: what.options.fresh = true; break;
        case OPTION_QR: what.qr = true; break;
        case OPTION_FINGERPRINT: what.fingerprint = run->args.value; break;
        default: return run_usage(run);
        }
    enum error error = invite(run, &what, &post_key);
    keystore_free(&post_key);
    return error == E_OK ? 0 : run_fail(run, error);
}

/* ---- link ---- */

COMMAND_OPTIONS(device_link, {"card", OPTION_CARD, true}, {"name", OPTION_NAME, true}, {"for", OPTION_FOR, true});

struct linking {
    const char *code, *card_path, *name;
    uint64_t wait_s;
    struct card card;
    struct invite_keys keys;
    char fingerprint[TEXT_FINGERPRINT_SIZE];
};

static enum error read_card(struct run *run, const struct linking *what, struct bytes inside, struct card *ret) {
    AUTO_BUF text = {0};
    unsigned line = 0;
    if (what->card_path) {
        TRY(files_read(what->card_path, CARD_MAX, &text, &run->failure));
        inside = buf_bytes(&text);
    }
    if (inside.n == 0)
        return fail(&run->failure, E_USAGE, "--card CARD is needed: the code alone does not name the relay");
    enum error error = card_parse(inside, ret, &line);
    return error == E_OK ? E_OK
                         : fail(&run->failure, error, "%s:%u", what->card_path ? what->card_path : "the card", line);
}

/* `-`: from standard input, since other users of the machine see what stands on a command line. What is wrong with the code is
 * said without repeating it. */
static enum error read_code(struct run *run, struct linking *what) {
    uint8_t secret[INVITE_SECRET];
    char line[128] = "";
    struct bytes inside;
    bool typed = strcmp(what->code, "-") == 0;
    if (typed && run_can_ask(run)) fprintf(stderr, "Code: ");
    if (typed && !run_read_line(line, sizeof line)) return fail(&run->failure, E_BAD_CODE, "nothing was typed");
    enum error error = linkup_parse(typed ? line : what->code, secret, &inside);
    sodium_memzero(line, sizeof line);
    if (typed) inside = (struct bytes){0}; /* one line holds no card */
    if (error != E_OK) return fail(&run->failure, error, "what was typed");
    TRY(read_card(run, what, inside, &what->card));
    error = invite_derive(secret, &what->keys);
    sodium_memzero(secret, sizeof secret);
    return error == E_OK ? E_OK : fail(&run->failure, error, "the code");
}

/* A link that was killed after it made its home goes on with it. */
static enum error open_or_make(struct run *run, const struct linking *what) {
    struct client_options options = run_client_options(run);
    struct linkup_hello hello;
    char home[4096], identity[4200];
    TRY(home_path(run->home_path, home, sizeof home, &run->failure));
    TRY(files_join(home, "identity", identity, sizeof identity, &run->failure));
    if (files_exists(identity)) {
        TRY(run_open(run));
        bool ours = run->home.kind == HOME_POST && run->home.further && !run->home.joined;
        return ours ? E_OK : fail(&run->failure, E_HOME_EXISTS, "%s", run->home.path);
    }
    TRY(linkup_greet(&what->card, &what->keys, &options, &hello, &run->failure));
    TRY(run_passphrase(run, true));
    struct home_options where = run_home_options(run);
    TRY(home_init_device(&where, &(struct home_new_device){.post = hello.post, .role = hello.role}, &run->failure));
    return run_open(run);
}

static void say_fingerprint(struct run *run, struct linking *what) {
    uint8_t hash[HASH_SIZE];
    invite_fingerprint(run->home.device, run->home.transport, hash);
    text_fingerprint(hash, what->fingerprint);
    run_say(run, "This device of %s has the fingerprint\n\n    %s\n\nCompare it with what the older device shows.",
            run->home.post, what->fingerprint);
}

static enum error wait_for_answer(struct run *run, const struct linking *what, struct buf *plain,
                                  struct linkgive *ret) {
    uint64_t end = ticks_ms() + what->wait_s * 1000;
    for (bool found = false;;) {
        TRY(linkup_look(run->relay, &what->keys, plain, ret, &found, &run->failure));
        if (found) return E_OK;
        if (ticks_ms() >= end) {
            enum error error = fail(&run->failure, E_TIMED_OUT, "the older device has not answered");
            fail_hint(&run->failure, "let pouch device invite run there, and run this again with the same code");
            return error;
        }
        nap(LOOK_MS);
    }
}

/* The first sync reads all that the post has received and sent; if it fails, the next one does. */
static void finish_link(struct run *run, const struct linking *what) {
    struct failure aside = {0};
    run_try_sync(run);
    if (run->relay && linkup_done(run->relay, &what->keys, &aside) != E_OK)
        run_say(run, "(the relay keeps the answer for a day)");
}

static enum error link_home(struct run *run, struct linking *what) {
    struct client_options options = run_client_options(run);
    struct linkgive give;
    AUTO_BUF plain = {0};
    TRY(read_code(run, what));
    TRY(open_or_make(run, what));
    TRY(linkup_ask(&run->home, &what->card, &what->keys, run->home.role, what->name, &options, &run->relay,
                   &run->failure));
    say_fingerprint(run, what);
    TRY(wait_for_answer(run, what, &plain, &give));
    client_disconnect(&run->relay);
    TRY(linkup_join(&run->home, &what->card, &give, &options, &run->failure));
    finish_link(run, what);
    print_linked(run, run->home.device, what->fingerprint, run->home.role, what->name ? what->name : "");
    return E_OK;
}

int device_link(struct run *run) {
    struct linking what = {.wait_s = INVITE_DEFAULT_S};
    int exit_code;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_CARD: what.card_path = run->args.value; break;
        case OPTION_NAME: what.name = run->args.value; break;
        case OPTION_FOR:
            if (!take_time(run, &what.wait_s, &exit_code)) return exit_code;
            break;
        case CLI_WORD:
            if (what.code) return run_usage(run);
            what.code = run->args.value;
            break;
        default: return run_usage(run);
        }
    if (!what.code) return run_usage_text(run, "the CODE that pouch device invite shows is needed");
    if (what.name && (!*what.name || strlen(what.name) > DEVICE_NAME_MAX))
        return run_usage_text(run, "a device's name has 1 to %d bytes", DEVICE_NAME_MAX);
    enum error error = link_home(run, &what);
    invite_keys_free(&what.keys);
    return error == E_OK ? 0 : run_fail(run, error);
}

/* ---- list ---- */

COMMAND_OPTIONS(device_list);

/* The ledger's time as this home knows it. */
static struct instant known_time(struct run *run) {
    struct home_status status = {0};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct instant here = {(uint64_t)now.tv_sec * 1000};
    if (client_status(&run->home, &status, &run->failure) != E_OK) return here;
    return status.relay_time.ms > here.ms ? status.relay_time : here;
}

static const char *standing(const struct directory_device *device, struct instant now) {
    enum error error = directory_live(device, now);
    return error == E_OK                  ? "live"
           : error == E_REVOKED           ? "revoked"
           : error == E_NOT_COUNTERSIGNED ? "not vouched for"
                                          : "expired";
}

static void list_json(struct run *run, size_t n, const struct directory_device *device, struct instant now,
                      const char *name) {
    char hex[2 * KEY_SIZE + 1];
    device_hex(device->device, hex);
    json_t *object =
        json_pack("{s:i, s:s, s:s, s:b, s:b, s:o, s:b, s:b}", "number", (int)n, "device", hex, "role",
                  words_name(WORDS_ROLE, device->role), "this", memcmp(device->device, run->home.device, KEY_SIZE) == 0,
                  "live", directory_live(device, now) == E_OK, "not_after", present_json_time(device->not_after),
                  "countersigned", device->countersigned, "revoked", device->revoked || device->post->revoked);
    if (*name) json_object_set_new(object, "name", present_json_text(bytes_text(name)));
    present_json(stdout, object);
}

static enum error list_devices(struct run *run) {
    static const char *const heads[] = {"#>", "DEVICE", "ROLE", "STANDING", "UNTIL", "NAME"};
    AUTO_TABLE table = {.heads = heads, .columns = LENGTH(heads), .elastic = 5};
    const struct directory_device *device;
    struct instant now = known_time(run);
    for (size_t n = 1; (device = sisters_nth(&run->home, n)); n++) {
        char hex[2 * KEY_SIZE + 1], name[DEVICE_NAME_MAX + 1], time[TIME_SIZE];
        bool this = memcmp(device->device, run->home.device, KEY_SIZE) == 0;
        TRY(invite_name(&run->home, device->device, name));
        if (run->cli.json) {
            list_json(run, n, device, now, name);
            continue;
        }
        device_hex(device->device, hex);
        table_add(&table, STYLE_NONE, "%zu", n);
        table_add(&table, STYLE_NONE, "%.16s", hex);
        table_add(&table, STYLE_NONE, "%s", words_name(WORDS_ROLE, device->role));
        table_add(&table, STYLE_NONE, "%s", standing(device, now));
        table_add(&table, STYLE_NONE, "%.10s", present_utc(device->not_after, time));
        table_add(&table, STYLE_NONE, "%s%s%s", this ? "this one" : "", this && *name ? ", " : "", name);
    }
    if (!run->cli.json) table_print(&table, stdout, &run->look);
    return E_OK;
}

int device_list(struct run *run) {
    if (run_next(run) != CLI_END) return run_usage(run);
    enum error error = run_open_post(run);
    if (error == E_OK) run_try_sync(run);
    if (error == E_OK) error = list_devices(run);
    return error == E_OK ? run_shown(run) : run_fail(run, error);
}

/* ---- revoke ---- */

COMMAND_OPTIONS(device_revoke, {"reason", OPTION_REASON, true});

static enum error may_go_on(struct run *run, const struct directory_device *device) {
    char hex[2 * KEY_SIZE + 1];
    bool this = memcmp(device->device, run->home.device, KEY_SIZE) == 0;
    device_hex(device->device, hex);
    if (!run_can_ask(run)) return E_OK;
    if (run_ask(run, false, "Revoke %s, a %s of %s%s? This cannot be taken back.", hex,
                words_name(WORDS_ROLE, device->role), run->home.post, this ? ", THIS device" : ""))
        return E_OK;
    return fail(&run->failure, E_INTERRUPTED, "nothing was revoked");
}

static enum error revoke(struct run *run, const char *typed, unsigned reason) {
    const struct directory_device *device;
    char hex[2 * KEY_SIZE + 1];
    uint8_t key[KEY_SIZE];
    TRY(connected(run));
    TRY(sisters_find(&run->home, typed, &device, &run->failure));
    TRY(may_go_on(run, device));
    memcpy(key, device->device, KEY_SIZE); /* the directory is replaced meanwhile */
    TRY(sisters_revoke(&run->home, run->relay, key, reason, &run->failure));
    device_hex(key, hex);
    if (run->cli.json)
        present_json(stdout, json_pack("{s:s, s:s, s:b}", "device", hex, "post", run->home.post, "revoked", 1));
    else
        printf("revoked: %s of %s, for everybody, from now on\n", hex, run->home.post);
    return E_OK;
}

int device_revoke(struct run *run) {
    const char *typed = NULL;
    unsigned long reason = 0;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_REASON: {
            char *end;
            errno = 0;
            reason = strtoul(run->args.value, &end, 10);
            if (errno || *end || end == run->args.value || reason > 255)
                return run_usage_text(run, "%.80s is no reason: 0 to 255", run->args.value);
            break;
        }
        case CLI_WORD:
            if (typed) return run_usage(run);
            typed = run->args.value;
            break;
        default: return run_usage(run);
        }
    if (!typed) return run_usage_text(run, "a device is needed: its number or the beginning of its key");
    enum error error = revoke(run, typed, (unsigned)reason);
    return error == E_OK ? 0 : run_fail(run, error);
}
