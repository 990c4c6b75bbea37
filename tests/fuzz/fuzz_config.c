/* fuzz_config.c - relay.yaml: what is taken can be written and read again with the same values. */
#include "config.h"
#include "fuzz.h"
#include "made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct config config, again;
    AUTO_BUF text = {0}, text_again = {0};
    fuzz_accepted = config_parse(bytes_of(data, size), "fuzz.yaml", NULL, &config) == E_OK;
    if (!fuzz_accepted) return 0;
    config_format(&config, &text);
    HOLDS(config_parse(buf_bytes(&text), "again.yaml", NULL, &again) == E_OK);
    config_format(&again, &text_again);
    HOLDS(bytes_equal(buf_bytes(&text), buf_bytes(&text_again)));
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    static struct config config;
    AUTO_BUF text = {0};
    config_defaults(&config);
    config_format(&config, &text);
    give(buf_bytes(&text));
    give(bytes_text(
        "listen: [\"tcp://*:443\", \"tcp://[::1]:5870\"]\nlimits: {body: 1MiB, recipients: 3}\nworkers: 4\n"));
}
