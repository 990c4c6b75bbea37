/* fuzz_message.c - frames, and the object that a frame's type promises. */
#include "fuzz.h"
#include "made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _Alignas(max_align_t) uint8_t value[4096];
    struct frame frame;
    const struct message_row *row;
    fuzz_accepted = false;
    if (message_decode(bytes_of(data, size), &frame, &row) != E_OK) return 0;
    HOLDS(row == message_row(frame.type));
    if (codec_decode(row->object, frame.body, value) != E_OK) return 0;
    AUTO_BUF again = {0};
    message_encode(row->type, frame.number, value, &again);
    HOLDS(bytes_equal(buf_bytes(&again), bytes_of(data, size)));
    fuzz_accepted = true;
    return 0;
}

static void give_message(void (*give)(struct bytes sample), enum message type, const void *value) {
    AUTO_BUF frame = {0};
    message_encode(type, 300, value, &frame);
    give(buf_bytes(&frame));
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    const struct made *good = made();
    AUTO_BUF said = {0}, items = {0}, leaves = {0}, failure = {0}, results = {0};
    give_message(give, MESSAGE_HELLO, &(struct hello){.size = 70000});
    give_message(give, MESSAGE_TRACK, &(struct track){.ordinal = 3});
    said_encode(&(struct said){.statement = buf_bytes(&good->statement_stamped)}, &said);
    give_message(give, MESSAGE_STATE, &(struct state){.said = list_of(&said, 1)});
    item_encode(&(struct item){.number = 1, .kind = ITEM_OFFERED, .body = buf_bytes(&good->offered)}, &items);
    give_message(give, MESSAGE_FEED, &(struct feed){.items = list_of(&items, 1), .newest = 1});
    for (size_t i = 0; i < 3; i++) cbor_put_bytes(&leaves, buf_bytes(&good->world.leaves[i]));
    give_message(give, MESSAGE_LEAVES, &(struct leaves){.leaves = list_of(&leaves, 3), .size = 3});
    result_encode(&(struct result){.error = E_OK, .has_receipt = true, .receipt = buf_bytes(&good->receipt)}, &results);
    give_message(give, MESSAGE_SUBMITTED, &(struct submitted){.results = list_of(&results, 1)});
    message_encode_failure(9, E_BUSY, "later", &failure);
    give(buf_bytes(&failure));
}
