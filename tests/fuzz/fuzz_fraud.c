/* fuzz_fraud.c - proofs of fraud: what is accepted as one names the keys that signed it and contradicts itself. */
#include "fuzz.h"
#include "heads_fixture.h"

static void check_sides(const struct fraud_view *view) {
    bool contradicted = view->has_root && memcmp(view->root, view->older.root, HASH_SIZE) != 0;
    switch (view->kind) {
    case FRAUD_HEADS: HOLDS(contradicted && view->older.size <= view->newer.size); break;
    case FRAUD_ENTRIES: HOLDS(memcmp(view->older.root, view->newer.root, HASH_SIZE) < 0); break;
    case FRAUD_PROMISE:
        HOLDS(view->newer.time.ms > view->deadline.ms);
        HOLDS(contradicted || view->newer.size < view->older.size);
        break;
    default: HOLDS(false);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fraud_view view;
    fuzz_accepted = fraud_verify(bytes_of(data, size), &view) == E_OK;
    if (!fuzz_accepted) return 0;
    HOLDS(memcmp(view.card.log, pair_of(LOG_KEY).public, KEY_SIZE) == 0 ||
          memcmp(view.card.statement, pair_of(STATEMENT_KEY).public, KEY_SIZE) == 0);
    check_sides(&view);
    return 0;
}

static void give_heads(const struct card *card, void (*give)(struct bytes sample)) {
    uint8_t honest[HEADS_LEAVES * HASH_SIZE], forked[HEADS_LEAVES * HASH_SIZE], root[HASH_SIZE];
    AUTO_BUF older = {0}, newer = {0}, late = {0}, promise = {0}, heads = {0}, broken = {0};
    heads_log(HEADS_LEAVES, honest);
    heads_log(6, forked);
    head_of(card, honest, 9, WORLD_TIME, &older);
    head_of(card, forked, 13, WORLD_TIME + 1, &newer);
    HOLDS(fraud_make_heads(card, buf_bytes(&older), buf_bytes(&newer), bytes_of(forked, 13 * HASH_SIZE), &heads) ==
          E_OK);
    give(buf_bytes(&heads));
    merkle_root(honest, 9, root);
    promise_of(root, 9, WORLD_TIME, &promise);
    head_of(card, forked, 13, WORLD_TIME + 2 * PROMISE_MS, &late);
    HOLDS(fraud_make_promise(card, buf_bytes(&promise), buf_bytes(&late), bytes_of(forked, 13 * HASH_SIZE), &broken) ==
          E_OK);
    give(buf_bytes(&broken));
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    const struct card card = heads_card(1);
    AUTO_BUF a = {0}, b = {0}, entries = {0};
    give_heads(&card, give);
    receipt_of(4, 1, &a);
    receipt_of(4, 2, &b);
    HOLDS(fraud_make_entries(&card, buf_bytes(&a), buf_bytes(&b), &entries) == E_OK);
    give(buf_bytes(&entries));
}
