/* fuzz_witness.c - signed notes, and add-checkpoint requests to a witness: what is taken is written the same again, and nothing
 * but the head that the log has signed is judged good. */
#include "fuzz.h"
#include "head.h"
#include "made.h"
#include "witness.h"

enum { LOG = 71, LEAVES = 11, SEEN = 6 };
#define NOW ((uint64_t)1800000000000)

static struct merkle_tree tree;
static struct witness_log witnessed = {.timed = true, .size = SEEN};
static uint8_t newest[HASH_SIZE];

static void make_log(void) {
    if (merkle_tree_size(&tree)) return;
    for (uint8_t i = 0; i < LEAVES; i++) {
        uint8_t hash[HASH_SIZE];
        merkle_leaf(bytes_of(&i, 1), hash);
        HOLDS(merkle_tree_add(&tree, hash) == E_OK);
    }
    HOLDS(note_key_make(bytes_text("relay.test/directory"), NOTE_ED25519, pair_of(LOG).public, &witnessed.key) == E_OK);
    merkle_tree_root(&tree, SEEN, witnessed.root);
    merkle_tree_root(&tree, LEAVES, newest);
}

static bool try_note(struct bytes bytes) {
    struct note note;
    struct checkpoint checkpoint;
    AUTO_BUF again = {0};
    if (note_parse(bytes, &note) != E_OK) return false;
    note_format(&note, &again);
    HOLDS(bytes_equal(buf_bytes(&again), bytes));
    if (checkpoint_parse(note.text, &checkpoint) != E_OK) return true;
    buf_clear(&again);
    checkpoint_format(&checkpoint, &again);
    HOLDS(bytes_equal(buf_bytes(&again), note.text));
    return true;
}

static bool try_request(struct bytes body) {
    struct witness_request request;
    struct witness_verdict verdict;
    AUTO_BUF again = {0};
    if (witness_request_parse(body, &request) != E_OK) return false;
    witness_request_format(request.old, bytes_of(request.proof, request.proof_count * HASH_SIZE), request.bytes,
                           &again);
    HOLDS(bytes_equal(buf_bytes(&again), body));
    if (witness_judge(&witnessed, &request, (struct instant){NOW}, &verdict) != E_OK) return true;
    HOLDS(verdict.size == LEAVES && memcmp(verdict.root, newest, HASH_SIZE) == 0);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    AUTO_BUF joined = {0};
    struct bytes bytes = bytes_of(data, size);
    make_log();
    bool note = try_note(bytes), request = try_request(bytes);
    fuzz_accepted = note || request;
    if (witness_join(bytes_text("a\n1\n\n"), bytes, &joined) == E_OK) HOLDS(try_note(buf_bytes(&joined)));
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    AUTO_BUF note = {0}, proof = {0}, request = {0};
    struct note parsed;
    struct note_key witness;
    make_log();
    HOLDS(head_make(&witnessed.key, pair_of(LOG).secret, LEAVES, newest, (struct instant){NOW}, &note) == E_OK);
    merkle_tree_consistency_path(&tree, SEEN, LEAVES, &proof);
    witness_request_format(SEEN, buf_bytes(&proof), buf_bytes(&note), &request);
    give(buf_bytes(&request));
    HOLDS(note_key_make(bytes_text("witness.test"), NOTE_COSIGNATURE, pair_of(LOG + 1).public, &witness) == E_OK);
    HOLDS(note_parse(buf_bytes(&note), &parsed) == E_OK);
    AUTO_BUF cosigned = {0};
    buf_add_bytes(&cosigned, buf_bytes(&note));
    note_sign(parsed.text, &witness, pair_of(LOG + 1).secret, NOW / 1000, &cosigned);
    give(buf_bytes(&cosigned));
    merkle_tree_free(&tree);
}
