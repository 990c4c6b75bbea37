/* driver.c - one end of one pair: sends letters and waits for their receipts, or takes letters and answers them.
 *
 *     bench_driver CARRIER sender|recipient --folder F --pair NAME --window W --size BYTES [--count C | --seconds S]
 *                  [--first N] [--rate R] [--samples FILE] [--kept 1] [--earlier 1]
 *
 * A letter counts when its receipt has come and holds. The sender keeps W letters under way; with --rate it sends at that pace instead,
 * whatever has come back (open loop), and a letter's time is counted from when it should have been sent; else from when it is sealed. A recipient goes on until
 * standard input ends. Both print one JSON object. FILE gets the sender's times one by one, so that those of several pairs can be
 * put together: two counts of 64 bits, then that many microseconds of 32 bits until kept, and until the receipt.
 *
 * To see what a kill leaves: a sender with --kept waits for the server's acknowledgement only, and counts those; a recipient with --earlier
 * also takes what came before it, and its FILE gets the numbers of the letters in their order of arrival, 64 bits each. */
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "carrier.h"
#include "sign.h"

enum { ANSWERS_MOST = 128, WAIT_MS = 20, DRAIN_S = 60 };

struct driver {
    const struct carrier_row *row;
    struct carrier *carrier;
    struct letter_ends ends;
    const char *folder, *pair, *samples;
    bool sender, kept_only, earlier;
    uint64_t window, size, count, first, seconds, rate;
    /* sender */
    uint64_t sent, kept, done, begun_us, last_us;
    struct under_way {
        struct letter_done done;
        uint64_t due_us;
        bool open;
    } * under_way; /* by number, from first */
    uint32_t *kept_us, *receipt_us;
    struct stamp_cache cache;
    struct buf text;
    struct letter_room room;
    /* recipient */
    struct letter_done answers[ANSWERS_MOST];
    size_t answer_count;
    uint64_t opened, bytes;
    FILE *numbers;
    struct rusage before; /* of children */
};

static const struct carrier_row *const carriers[] = {
    &carrier_pouch,
#ifdef BENCH_MOSQUITTO
    &carrier_mosquitto,
#endif
#ifdef BENCH_NATS
    &carrier_nats,
#endif
#ifdef BENCH_RABBITMQ
    &carrier_rabbitmq,
#endif
#ifdef BENCH_POSTFIX
    &carrier_postfix,
#endif
};

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- sender ---- */

static struct under_way *find(struct driver *driver, uint64_t number) {
    if (number < driver->first || number - driver->first >= driver->sent)
        letter_die("letter %llu was never sent", (unsigned long long)number);
    return &driver->under_way[number - driver->first];
}

static void on_kept(void *context, uint64_t number) {
    struct driver *driver = context;
    driver->kept_us[driver->kept++] = (uint32_t)(now_us() - find(driver, number)->due_us);
    if (driver->kept_only) driver->last_us = now_us();
}

/* What the sender waits for has come so many times. */
static uint64_t finished(const struct driver *driver) { return driver->kept_only ? driver->kept : driver->done; }

static void on_receipt(void *context, uint64_t number, struct bytes receipt) {
    struct driver *driver = context;
    struct under_way *letter = find(driver, number);
    if (!letter->open) letter_die("a second receipt for letter %llu", (unsigned long long)number);
    enum error error = letter_check(&driver->ends, &letter->done, receipt, &driver->cache);
    if (error != E_OK) letter_die("the receipt of letter %llu: %s", (unsigned long long)number, error_text(error));
    letter->open = false;
    driver->last_us = now_us();
    driver->receipt_us[driver->done++] = (uint32_t)(driver->last_us - letter->due_us);
}

static void send_one(struct driver *driver, uint64_t due_us) {
    struct letter letter;
    uint64_t number = driver->first + driver->sent;
    struct under_way *at = &driver->under_way[driver->sent];
    letter_seal(&driver->ends, number, buf_bytes(&driver->text), &driver->room, &letter);
    if (driver->rate == 0) due_us = now_us(); /* sealing is before anybody waits for an answer */
    *at = (struct under_way){.done.number = number, .due_us = due_us, .open = true};
    memcpy(at->done.digest, letter.digest, HASH_SIZE);
    memcpy(at->done.leg, letter.leg, HASH_SIZE);
    driver->sent++;
    driver->row->send(driver->carrier, number, &letter);
}

static bool has_more(const struct driver *driver) {
    if (driver->sent >= driver->count) return false;
    return driver->seconds == 0 || now_us() - driver->begun_us < driver->seconds * 1000000;
}

static void send_due(struct driver *driver) {
    while (has_more(driver)) {
        uint64_t now = now_us(), due = now;
        if (driver->rate > 0) due = driver->begun_us + driver->sent * 1000000 / driver->rate;
        if (driver->rate > 0 && due > now) return;
        if (driver->rate == 0 && driver->sent - finished(driver) >= driver->window) return;
        send_one(driver, due);
        if (driver->rate > 0 || driver->sent % 4 == 0) driver->row->step(driver->carrier, 0);
    }
}

static void send_all(struct driver *driver) {
    driver->begun_us = driver->last_us = now_us();
    while (has_more(driver) || finished(driver) < driver->sent) {
        send_due(driver);
        driver->row->step(driver->carrier, driver->rate > 0 ? 1 : WAIT_MS);
        if (now_us() - driver->last_us > (uint64_t)DRAIN_S * 1000000) letter_die("no answer for %d s", DRAIN_S);
    }
}

/* ---- recipient ---- */

static void answer_all(struct driver *driver) {
    struct letter_word words[ANSWERS_MOST];
    struct buf receipts[ANSWERS_MOST] = {0};
    if (driver->answer_count == 0) return;
    for (size_t i = 0; i < driver->answer_count; i++)
        words[i] = (struct letter_word){EVENT_HANDED_OVER, &driver->answers[i]};
    letter_sign(&driver->ends, words, driver->answer_count, receipts);
    for (size_t i = 0; i < driver->answer_count; i++) {
        driver->row->answer(driver->carrier, driver->answers[i].number, buf_bytes(&receipts[i]));
        buf_free(&receipts[i]);
    }
    driver->answer_count = 0;
}

static void on_letter(void *context, uint64_t number, const struct letter *letter) {
    struct driver *driver = context;
    AUTO_BUF text = {0};
    struct letter copy = *letter;
    enum error error = letter_open(&driver->ends, &copy, &text);
    if (error != E_OK) letter_die("letter %llu: %s", (unsigned long long)number, error_text(error));
    struct letter_done *done = &driver->answers[driver->answer_count++];
    done->number = number;
    memcpy(done->digest, copy.digest, HASH_SIZE);
    memcpy(done->leg, copy.leg, HASH_SIZE);
    if (driver->numbers && (fwrite(&number, sizeof number, 1, driver->numbers) != 1 || fflush(driver->numbers) != 0))
        letter_die("%s cannot be written", driver->samples);
    driver->opened++;
    driver->bytes += text.n;
    if (driver->answer_count == ANSWERS_MOST) answer_all(driver);
}

static bool told_to_stop(void) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void take_all(struct driver *driver) {
    while (!told_to_stop()) {
        driver->row->step(driver->carrier, WAIT_MS);
        answer_all(driver);
    }
}

/* ---- what came of it ---- */

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, uint32_t *us, uint64_t n) {
    qsort(us, (size_t)n, sizeof *us, compare);
    printf(", \"%s_us\": {\"p50\": %u, \"p99\": %u, \"max\": %u}", name, n ? us[n / 2] : 0, n ? us[n * 99 / 100] : 0,
           n ? us[n - 1] : 0);
}

static void write_samples(const struct driver *driver) {
    const uint64_t counts[2] = {driver->kept, driver->done};
    FILE *file = fopen(driver->samples, "we");
    bool good = file && fwrite(counts, sizeof counts, 1, file) == 1 &&
                fwrite(driver->kept_us, sizeof(uint32_t), driver->kept, file) == driver->kept &&
                fwrite(driver->receipt_us, sizeof(uint32_t), driver->done, file) == driver->done;
    if (!file || fclose(file) != 0 || !good) letter_die("%s cannot be written", driver->samples);
}

static double seconds_of(struct timeval at) { return (double)at.tv_sec + (double)at.tv_usec / 1e6; }

static void report(struct driver *driver) {
    struct rusage usage, children;
    getrusage(RUSAGE_SELF, &usage);
    getrusage(RUSAGE_CHILDREN,
              &children); /* gpg's, where mail goes through it: what has been waited for since we were ready */
    timersub(&children.ru_utime, &driver->before.ru_utime, &children.ru_utime);
    timersub(&children.ru_stime, &driver->before.ru_stime, &children.ru_stime);
    timeradd(&usage.ru_utime, &children.ru_utime, &usage.ru_utime);
    timeradd(&usage.ru_stime, &children.ru_stime, &usage.ru_stime);
    printf("{\"carrier\": \"%s\", \"role\": \"%s\", \"pair\": \"%s\", \"size\": %llu, \"window\": %llu",
           driver->row->name, driver->sender ? "sender" : "recipient", driver->pair, (unsigned long long)driver->size,
           (unsigned long long)driver->window);
    printf(", \"letters\": %llu, \"seconds\": %.6f",
           (unsigned long long)(driver->sender ? finished(driver) : driver->opened),
           (double)(driver->last_us - driver->begun_us) / 1e6);
    printf(", \"cpu_user_s\": %.6f, \"cpu_sys_s\": %.6f, \"peak_kib\": %ld", seconds_of(usage.ru_utime),
           seconds_of(usage.ru_stime), usage.ru_maxrss);
    if (driver->sender) print_times("kept", driver->kept_us, driver->kept);
    if (driver->sender) print_times("receipt", driver->receipt_us, driver->done);
    puts("}");
}

/* ---- the command line ---- */

static uint64_t number_of(const char *text) {
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno || *end || end == text) letter_die("%s is no number", text);
    return value;
}

static void take_option(struct driver *driver, const char *name, const char *value) {
    if (strcmp(name, "--folder") == 0)
        driver->folder = value;
    else if (strcmp(name, "--pair") == 0)
        driver->pair = value;
    else if (strcmp(name, "--window") == 0)
        driver->window = number_of(value);
    else if (strcmp(name, "--size") == 0)
        driver->size = number_of(value);
    else if (strcmp(name, "--count") == 0)
        driver->count = number_of(value);
    else if (strcmp(name, "--seconds") == 0)
        driver->seconds = number_of(value);
    else if (strcmp(name, "--first") == 0)
        driver->first = number_of(value);
    else if (strcmp(name, "--rate") == 0)
        driver->rate = number_of(value);
    else if (strcmp(name, "--samples") == 0)
        driver->samples = value;
    else if (strcmp(name, "--kept") == 0)
        driver->kept_only = number_of(value) != 0;
    else if (strcmp(name, "--earlier") == 0)
        driver->earlier = number_of(value) != 0;
    else
        letter_die("%s is no option", name);
}

static void read_arguments(struct driver *driver, int argc, char **argv) {
    if (argc < 3) letter_die("CARRIER sender|recipient --folder F --pair NAME --window W --size BYTES ...");
    for (size_t i = 0; i < LENGTH(carriers); i++)
        if (strcmp(carriers[i]->name, argv[1]) == 0) driver->row = carriers[i];
    if (!driver->row) letter_die("%s is no carrier that this was built with", argv[1]);
    driver->sender = strcmp(argv[2], "sender") == 0;
    for (int i = 3; i + 1 < argc; i += 2) take_option(driver, argv[i], argv[i + 1]);
    if (!driver->folder || !driver->pair) letter_die("--folder and --pair are needed");
}

int main(int argc, char **argv) {
    static const struct carrier_ears ears = {on_kept, on_letter, on_receipt};
    struct driver driver = {.window = 1, .size = 4096, .count = 1000000, .first = 1};
    if (sodium_init() < 0 || sign_self_test() != E_OK) letter_die("libsodium does not work");
    read_arguments(&driver, argc, argv);
    letter_ends_read(driver.folder, driver.pair, &driver.ends);
    driver.carrier = driver.row->open(&(struct carrier_options){.folder = driver.folder,
                                                                .pair = driver.pair,
                                                                .sender = driver.sender,
                                                                .earlier = driver.earlier,
                                                                .window = (unsigned)driver.window,
                                                                .ends = &driver.ends,
                                                                .ears = &ears,
                                                                .context = &driver});
    getrusage(RUSAGE_CHILDREN, &driver.before);
    if (driver.sender) {
        uint8_t *text = buf_extend(&driver.text, (size_t)driver.size);
        driver.under_way = calloc(driver.count, sizeof *driver.under_way);
        driver.kept_us = calloc(driver.count, sizeof *driver.kept_us);
        driver.receipt_us = calloc(driver.count, sizeof *driver.receipt_us);
        if (!text || !driver.under_way || !driver.kept_us || !driver.receipt_us) letter_die("memory ran out");
        randombytes_buf(text, (size_t)driver.size);
        puts("ready");
        fflush(stdout);
        (void)getchar(); /* all begin together */
        send_all(&driver);
    } else {
        if (driver.earlier && driver.samples && !(driver.numbers = fopen(driver.samples, "we")))
            letter_die("%s cannot be written", driver.samples);
        puts("ready");
        fflush(stdout);
        take_all(&driver);
        if (driver.numbers) fclose(driver.numbers);
    }
    driver.row->close(driver.carrier); /* waits for what it had running */
    if (driver.sender && driver.samples) write_samples(&driver);
    report(&driver);
    letter_room_free(&driver.room);
    buf_free(&driver.text);
    free(driver.under_way);
    free(driver.kept_us);
    free(driver.receipt_us);
    return 0;
}
