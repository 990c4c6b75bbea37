/* figures.c - the relay's numbers shown and judged. */
#include "figures.h"

#include <inttypes.h>
#include <time.h>

#include "cli.h"
#include "text.h"
#include "units.h"

enum { READABLE_SIZE = 64, FULL_PERCENT = 90 };

static bool ends_with(struct bytes name, const char *end) {
    size_t n = strlen(end);
    return name.n >= n && memcmp(name.p + name.n - n, end, n) == 0;
}

static void readable_bytes(uint64_t bytes, char ret[static READABLE_SIZE]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < LENGTH(units); unit++) value /= 1024;
    if (unit) snprintf(ret, READABLE_SIZE, "%.1f %s", value, units[unit]);
}

static void readable_time(uint64_t ms, char ret[static READABLE_SIZE]) {
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (ms && gmtime_r(&seconds, &parts)) strftime(ret, READABLE_SIZE, "%Y-%m-%d %H:%M:%S UTC", &parts);
}

/* What the name's ending promises about the unit, said the way people read it; else nothing. */
static void readable(const struct number *number, char ret[static READABLE_SIZE]) {
    char duration[UNITS_TEXT_SIZE];
    *ret = 0;
    if (ends_with(number->name, "_bytes")) {
        readable_bytes(number->value, ret);
    } else if (ends_with(number->name, "time_ms")) {
        readable_time(number->value, ret);
    } else if (ends_with(number->name, "_s") && number->value >= 60) {
        units_format_duration(number->value, duration);
        snprintf(ret, READABLE_SIZE, "%s", duration);
    }
}

static int width_of_names(struct list numbers) {
    struct number number;
    size_t width = 0;
    while (number_next(&numbers, &number))
        if (number.name.n > width) width = number.name.n;
    return (int)width;
}

void figures_table(FILE *out, struct list numbers) {
    int width = width_of_names(numbers);
    struct number number;
    while (number_next(&numbers, &number)) {
        char note[READABLE_SIZE];
        AUTO_BUF name = {0};
        text_for_terminal(number.name, false, &name);
        readable(&number, note);
        fprintf(out, "%-*s  %15" PRIu64 "%s%s\n", width, name.failed ? "?" : (const char *)name.p, number.value,
                *note ? "  " : "", note);
    }
}

void figures_json(FILE *out, struct list numbers) {
    struct number number;
    const char *between = "{";
    while (number_next(&numbers, &number)) {
        fputs(between, out);
        cli_json_text(out, number.name);
        fprintf(out, ": %" PRIu64, number.value);
        between = ", ";
    }
    fputs(*between == '{' ? "{}" : "}", out);
}

/* Letters, digits and underscores are what its names may have. */
static void put_name(FILE *out, struct bytes name) {
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        fputc(good ? c : '_', out);
    }
}

void figures_prometheus(FILE *out, struct list numbers) {
    struct number number;
    while (number_next(&numbers, &number)) {
        fputs("pouch_", out);
        put_name(out, number.name);
        fprintf(out, " %" PRIu64 "\n", number.value);
    }
}

bool figures_find(struct list numbers, const char *name, uint64_t *ret) {
    struct number number;
    while (number_next(&numbers, &number)) {
        if (!bytes_are(number.name, name)) continue;
        *ret = number.value;
        return true;
    }
    return false;
}

int figures_judge(struct list numbers, const struct config *config, char *ret_reason, size_t room) {
    uint64_t value;
    if (figures_find(numbers, "gate_pid", &value) && value == 0) {
        snprintf(ret_reason, room, "the gate does not run: nobody can connect");
        return 2;
    }
    if (figures_find(numbers, "clock_halted", &value) && value) {
        snprintf(ret_reason, room, "the clock jumped: nothing expires until it is right again");
        return 1;
    }
    bool has_free = figures_find(numbers, "free_bytes", &value);
    uint64_t low = 0;
    if ((has_free && value < config->store_reserve) || (figures_find(numbers, "disk_low", &low) && low)) {
        snprintf(ret_reason, room, "the disk is full: new requests must wait");
        return 2;
    }
    if (has_free && value / 2 < config->store_reserve) {
        snprintf(ret_reason, room, "the disk is nearly full: below store.reserve new requests must wait");
        return 1;
    }
    uint64_t fresh = 0, needed = 0;
    if (figures_find(numbers, "witnesses_needed", &needed) && figures_find(numbers, "witnesses_fresh", &fresh) &&
        fresh < needed) {
        snprintf(ret_reason, room,
                 "%" PRIu64 " of the %" PRIu64 " witnesses that the card asks for have spoken lately: members' routine "
                 "requests wait",
                 fresh, needed);
        return 1;
    }
    if (figures_find(numbers, "connections", &value) && value * 100 >= config->connections * FULL_PERCENT) {
        snprintf(ret_reason, room, "nearly all connections are used");
        return 1;
    }
    snprintf(ret_reason, room, "the relay serves");
    return 0;
}

void figures_perfdata(FILE *out, struct list numbers, const struct config *config) {
    struct number number;
    while (number_next(&numbers, &number)) {
        if (ends_with(number.name, "_pid") || ends_with(number.name, "time_ms")) continue; /* no quantities */
        fputc(' ', out);
        put_name(out, number.name);
        fprintf(out, "=%" PRIu64 "%s", number.value,
                ends_with(number.name, "_bytes") ? "B"
                : ends_with(number.name, "_s")   ? "s"
                                                 : "");
        if (bytes_are(number.name, "connections"))
            fprintf(out, ";%" PRIu64 ";%" PRIu64 ";0;%" PRIu64, config->connections * FULL_PERCENT / 100,
                    config->connections, config->connections);
        else if (bytes_are(number.name, "free_bytes")) /* N: alerts below N */
            fprintf(out, ";%" PRIu64 ":;%" PRIu64 ":", config->store_reserve * 2, config->store_reserve);
    }
}
