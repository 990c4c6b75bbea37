/* ledger_words.h - statements of any device of any post, with the wrap set that some bring along. */
#ifndef LEDGER_WORDS_H
#define LEDGER_WORDS_H

#include "ledger_fixture.h"

struct words {
    enum leg_event event;
    const char *post, *for_post; /* for_post: whose devices it is sealed for */
    unsigned number, signer;     /* signer 0: the same device */
    uint8_t nonce;
    uint64_t generation, said_generation; /* 0: as the wrap set has it */
    const char *forward;
    bool no_set, no_wraps, other_leg;
    bool disclosure;
};

static void make_set(struct bench *bench, const struct cargo *parcel, const struct words *words, struct buf *out) {
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    unsigned signer = words->signer ? words->signer : words->number;
    struct wrapset set = {
        .has_leg = true, .generation = words->generation, .size = directory_size(bench->book.directory)};
    AUTO_BUF wraps = {0}, payload = {0};
    memcpy(set.header, parcel->digest, HASH_SIZE);
    memcpy(set.leg, parcel->leg[0], HASH_SIZE);
    if (words->other_leg) set.leg[0] ^= 1;
    memcpy(set.signer, pair_of(signer).public, KEY_SIZE);
    directory_root(bench->book.directory, set.root);
    size_t count = directory_readers(bench->book.directory, bytes_text(words->for_post), bench->book.now, readers);
    if (words->no_wraps) count = 0;
    for (size_t i = 0; i < count; i++) {
        struct wrap wrap = {.enc = bytes_text("enc"), .ciphertext = bytes_text("sealed anew")};
        memcpy(wrap.device, readers[i]->device, KEY_SIZE);
        wrap_encode(&wrap, &wraps);
    }
    set.wraps = list_of(&wraps, count);
    wrapset_encode(&set, &payload);
    assert_ok(stamp_sign_one(LABEL_WRAPSET, pair_of(signer).secret, buf_bytes(&payload), out));
}

static void make_words(const struct cargo *parcel, const struct words *words, struct buf *out) {
    struct statement statement = {.event = (uint64_t)words->event,
                                  .has_leg = true,
                                  .has_post = true,
                                  .post = bytes_text(words->post),
                                  .time = {1},
                                  .has_generation = words->generation > 0,
                                  .generation = words->said_generation ? words->said_generation : words->generation,
                                  .has_forward = words->forward != NULL,
                                  .forward = bytes_text(words->forward),
                                  .has_disclosure = words->disclosure,
                                  .disclosure = words->disclosure};
    AUTO_BUF payload = {0};
    memcpy(statement.header, parcel->digest, HASH_SIZE);
    memcpy(statement.leg, parcel->leg[0], HASH_SIZE);
    memcpy(statement.device, pair_of(words->number).public, KEY_SIZE);
    memset(statement.nonce, words->nonce, NONCE_SIZE);
    statement_encode(&statement, &payload);
    assert_ok(stamp_sign_one(LABEL_STATEMENT, pair_of(words->number).secret, buf_bytes(&payload), out));
}

UNUSED static enum error speak_in_batch(struct bench *bench, const struct cargo *parcel, const struct words *words,
                                        bool *ret_receipt) {
    AUTO_BUF stamped = {0}, set = {0}, said = {0};
    struct response response = {0};
    struct job job = job_of(words->number);
    bool with = (words->event == EVENT_RESEALED || words->event == EVENT_FORWARDED) && !words->no_set;
    make_words(parcel, words, &stamped);
    if (with) make_set(bench, parcel, words, &set);
    said_encode(&(struct said){.statement = buf_bytes(&stamped), .has_wrapset = with, .wrapset = buf_bytes(&set)},
                &said);
    struct state state = {.said = list_of(&said, 1)};
    assert_ok(transition_state(&bench->book, &job, &state, &response));
    enum error error = response.outcomes[0].error;
    *ret_receipt = response.outcomes[0].pending >= 0 || response.outcomes[0].receipt.n > 0;
    response_free(&response);
    return error;
}

UNUSED static enum error speak(struct bench *bench, const struct cargo *parcel, const struct words *words,
                               bool *ret_receipt) {
    bool receipt;
    begin(bench);
    enum error error = speak_in_batch(bench, parcel, words, &receipt);
    commit_batch(bench);
    if (ret_receipt) *ret_receipt = receipt;
    return error;
}

#endif
