/* carrier_pouch.c - the whole way of a request over the relay's own wire, as a careful client goes it.
 *
 *     sender     SUBMIT ─ SUBMITTED: receipt of STORED verified ─ on_kept ─ HINT ─ GETFEED: each entry's receipt verified, with its
 *                place in the evidence log; HANDED_OVER ─ on_receipt
 *     recipient  HINT ─ GETFEED: offers ─ opened ─ STATE: NOTIFIED, ACCEPTED ─ STATED: receipts verified, bodies ─ on_letter ─
 *                answer ─ STATE: HANDED_OVER ─ STATED; what did not come along with an answer is fetched
 *
 * Whatever is due at the end of a step goes out together: statements under one signature in one frame. */
#include <sodium.h>
#include <stdio.h>
#include <time.h>
#include <zmq.h>

#include "card.h"
#include "carrier.h"
#include "chunks.h"
#include "evidence.h"
#include "message.h"

enum {
    SLOTS = 4096,
    FEED_ASK = 128,
    CARD_MAX = 64 * 1024,
    INLINE_CHUNKS = 5,   /* of a body, in the frame that submits it */
    ROOM = 256 * 1024,   /* content that may come along with an answer */
    FETCH_WINDOW = 8,    /* chunks asked for and not there yet, of one letter */
    FETCHES_MOST = 24,   /* and of all; less than the relay keeps for a slow reader */
    CREDIT = 768 * 1024, /* bytes of submissions not answered yet: 32 such clients do not fill the relay's own queue */
    BUSY_MS = 100,
    STATE_MOST = STATEMENTS_MAX,
};

enum stage {
    FREE,
    SUBMITTED_WAIT,
    UNDER_WAY,
    OFFER_WAIT,
    OFFERED_OPEN,
    ACCEPT_WAIT,
    BODY_NEXT,
    BODY_WAIT,
    TOLD,
    DONE_WAIT
};

/* One letter on its way, at either end. */
struct slot {
    enum stage stage;
    bool asked; /* for its offer */
    struct letter_done done;
    struct letter letter;
    struct letter_room room;
    struct buf path;
    uint64_t body_length, chunk_count, chunk_next, chunk_have;
    int64_t ordinal; /* of the leg's last entry */
    uint8_t head[HASH_SIZE];
};

/* A submission, or a chunk of one, until it is answered: when the relay is busy it goes once more. */
struct pending {
    struct pending *next;
    enum message type;
    struct slot *slot;
    struct buf body;
};

struct queue {
    struct pending *first, **end;
};

/* What one numbered frame asked. */
struct asked {
    uint64_t number;
    enum message type;
    struct slot *slot;
    struct pending *pending;
    size_t count;
    struct slot *slots[STATE_MOST];
    enum leg_event events[STATE_MOST];
};

struct carrier {
    struct carrier_options options;
    struct card card;
    void *context, *socket;
    uint64_t number, feed;
    bool asking, hinted;
    struct slot slots[SLOTS];
    size_t used;                                  /* of the slots, so far */
    struct slot *opened[SLOTS], *answered[SLOTS]; /* what the end of the step is for */
    struct buf receipts[SLOTS];
    size_t opened_count, answered_count;
    struct asked *asked[SLOTS];
    size_t asked_count;
    struct queue again, waiting; /* in this order */
    size_t owed;                 /* of CREDIT */
    uint64_t pause_ms;           /* steady clock: until then the relay is left alone */
    size_t fetching;             /* chunks of bodies */
    struct evidence_cache cache;
};

static void must(enum error error, const char *what) {
    if (error != E_OK) letter_die("pouch: %s: %s", what, error_text(error));
}

/* ---- the link ---- */

static struct asked *asked_new(struct carrier *carrier, enum message type, struct slot *slot) {
    struct asked *asked = calloc(1, sizeof *asked);
    if (!asked || carrier->asked_count == SLOTS) letter_die("pouch: too much is under way");
    *asked = (struct asked){.number = ++carrier->number, .type = type, .slot = slot};
    carrier->asked[carrier->asked_count++] = asked;
    return asked;
}

static void send_frame(struct carrier *carrier, const struct buf *frame) {
    must(buf_error(frame), "a frame");
    if (zmq_send(carrier->socket, frame->p, frame->n, 0) != (int)frame->n)
        letter_die("pouch: send: %s", zmq_strerror(errno));
}

static struct asked *ask(struct carrier *carrier, enum message type, const void *value, struct slot *slot) {
    AUTO_BUF frame = {0};
    struct asked *asked = asked_new(carrier, type, slot);
    message_encode(type, asked->number, value, &frame);
    send_frame(carrier, &frame);
    return asked;
}

/* ---- submissions, as far as the credit goes ---- */

static uint64_t steady_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void queue_add(struct queue *queue, struct pending *pending) {
    pending->next = NULL;
    if (!queue->first) queue->end = &queue->first;
    *queue->end = pending;
    queue->end = &pending->next;
}

static struct pending *pending_new(struct carrier *carrier, enum message type, struct slot *slot) {
    struct pending *pending = calloc(1, sizeof *pending);
    if (!pending) letter_die("memory ran out");
    pending->type = type;
    pending->slot = slot;
    queue_add(&carrier->waiting, pending);
    return pending;
}

static void pending_free(struct pending *pending) {
    if (pending) buf_free(&pending->body);
    free(pending);
}

static void send_pending(struct carrier *carrier) {
    if (carrier->pause_ms && steady_ms() < carrier->pause_ms) return;
    carrier->pause_ms = 0;
    for (;;) {
        struct queue *from = carrier->again.first ? &carrier->again : &carrier->waiting;
        struct pending *pending = from->first;
        AUTO_BUF frame = {0};
        if (!pending || (carrier->owed > 0 && carrier->owed + pending->body.n > CREDIT)) return;
        from->first = pending->next;
        carrier->owed += pending->body.n;
        struct asked *asked = asked_new(carrier, pending->type, pending->slot);
        asked->pending = pending;
        frame_encode(&(struct frame){pending->type, asked->number, buf_bytes(&pending->body)}, &frame);
        send_frame(carrier, &frame);
    }
}

/* Answered; true: with a word that it may come again. A chunk whose submission has to come again is not known yet. */
static bool pending_answered(struct carrier *carrier, struct asked *asked, enum error error) {
    struct pending *pending = asked->pending;
    if (!pending) return false;
    asked->pending = NULL;
    carrier->owed -= pending->body.n;
    bool again = error == E_BUSY || (pending->type == MESSAGE_CHUNK && error == E_UNKNOWN_REQUEST);
    if (again) {
        queue_add(&carrier->again, pending);
        carrier->pause_ms = steady_ms() + BUSY_MS;
    } else {
        pending_free(pending);
    }
    return again;
}

static struct asked *take_asked(struct carrier *carrier, uint64_t number) {
    for (size_t i = 0; i < carrier->asked_count; i++) {
        struct asked *asked = carrier->asked[i];
        if (asked->number != number) continue;
        carrier->asked[i] = carrier->asked[--carrier->asked_count];
        return asked;
    }
    letter_die("pouch: an answer to nothing");
}

static struct slot *slot_new(struct carrier *carrier) {
    for (size_t i = 0; i < SLOTS; i++)
        if (carrier->slots[i].stage == FREE) {
            carrier->slots[i].ordinal = -1;
            carrier->slots[i].asked = false;
            if (i >= carrier->used) carrier->used = i + 1;
            return &carrier->slots[i];
        }
    letter_die("pouch: too many letters");
}

static struct slot *slot_by_leg(struct carrier *carrier, const uint8_t leg[static HASH_SIZE]) {
    for (size_t i = 0; i < carrier->used; i++)
        if (carrier->slots[i].stage != FREE && memcmp(carrier->slots[i].done.leg, leg, HASH_SIZE) == 0)
            return &carrier->slots[i];
    return NULL;
}

static void slot_free(struct slot *slot) {
    slot->stage = FREE;
    memset(slot->done.leg, 0, HASH_SIZE);
}

/* ---- evidence ---- */

/* A receipt holds, stands in the log, and continues its leg. False: it is one that this end has had already. */
static bool check_receipt(struct carrier *carrier, struct slot *slot, struct bytes receipt, struct evidence *ret) {
    struct head head;
    must(evidence_open_cached(receipt, &carrier->card, &carrier->cache, ret, &head), "a receipt");
    if (!ret->has_entry || memcmp(ret->statement.leg, slot->done.leg, HASH_SIZE) != 0)
        letter_die("pouch: a receipt of something else");
    if ((int64_t)ret->entry.ordinal <= slot->ordinal) return false;
    must(evidence_follows(ret, slot->ordinal, slot->ordinal < 0 ? slot->done.leg : slot->head), "a ladder");
    slot->ordinal = (int64_t)ret->entry.ordinal;
    memcpy(slot->head, ret->entry_hash, HASH_SIZE);
    return true;
}

/* ---- sender ---- */

static void put_chunk(const struct letter *letter, enum part_number part, uint64_t index, struct bytes data,
                      struct chunk *ret) {
    *ret = (struct chunk){.part = (uint64_t)part, .index = index, .data = data};
    memcpy(ret->header, letter->digest, HASH_SIZE);
}

static struct bytes body_chunk(const struct letter *letter, uint64_t index) {
    size_t at = (size_t)index * CHUNK_SIZE, left = letter->body.n - at;
    return bytes_of(letter->body.p + at, left < CHUNK_SIZE ? left : CHUNK_SIZE);
}

static void submit(struct carrier *carrier, struct slot *slot, const struct letter *letter) {
    AUTO_BUF places = {0}, wrapsets = {0}, chunks = {0};
    uint8_t offer_digest[HASH_SIZE];
    struct chunk chunk;
    uint64_t count = chunks_count(letter->body.n), inside = count < INLINE_CHUNKS ? count : INLINE_CHUNKS;
    place_encode(&(struct place){.opening = letter->opening, .position = letter->position}, &places);
    cbor_put_bytes(&wrapsets, letter->wrapset);
    put_chunk(letter, PART_OFFER, 0, letter->offer, &chunk);
    chunk_encode(&chunk, &chunks);
    for (uint64_t i = 0; i < inside; i++) {
        put_chunk(letter, PART_BODY, i, body_chunk(letter, i), &chunk);
        chunk_encode(&chunk, &chunks);
    }
    chunk_digest(letter->offer, offer_digest);
    struct submit message = {.header = letter->header,
                             .places = list_of(&places, 1),
                             .wrapsets = list_of(&wrapsets, 1),
                             .has_offer_digests = true,
                             .offer_digests = bytes_of(offer_digest, HASH_SIZE),
                             .has_body_digests = true,
                             .body_digests = letter->digests,
                             .chunks = list_of(&chunks, (size_t)inside + 1)};
    memcpy(message.seed, letter->seed, HASH_SIZE);
    submit_encode(&message, &pending_new(carrier, MESSAGE_SUBMIT, slot)->body);
    for (uint64_t i = inside; i < count; i++) {
        put_chunk(letter, PART_BODY, i, body_chunk(letter, i), &chunk);
        chunk_encode(&chunk, &pending_new(carrier, MESSAGE_CHUNK, slot)->body);
    }
    send_pending(carrier);
}

static void pouch_send(struct carrier *carrier, uint64_t number, const struct letter *letter) {
    struct slot *slot = slot_new(carrier);
    slot->stage = SUBMITTED_WAIT;
    slot->done.number = number;
    memcpy(slot->done.digest, letter->digest, HASH_SIZE);
    memcpy(slot->done.leg, letter->leg, HASH_SIZE);
    submit(carrier, slot, letter);
}

static void on_submitted(struct carrier *carrier, struct slot *slot, struct bytes body) {
    struct submitted submitted;
    struct result result;
    struct evidence evidence;
    must(submitted_decode(body, &submitted), "SUBMITTED");
    if (submitted.wants.count > 0) return; /* the chunks that follow are on their way */
    if (!result_next(&submitted.results, &result) || result.error != E_OK)
        letter_die("pouch: a letter was not taken: %s", error_text((enum error)result.error));
    if (slot->stage != SUBMITTED_WAIT) return;
    check_receipt(carrier, slot, result.receipt, &evidence);
    slot->stage = UNDER_WAY;
    carrier->options.ears->on_kept(carrier->options.context, slot->done.number);
}

static void sender_item(struct carrier *carrier, const struct item *item) {
    struct changed changed;
    struct evidence evidence;
    struct receipt receipt;
    if (item->kind != ITEM_CHANGED) return;
    must(changed_decode(item->body, &changed), "an item of the feed");
    struct slot *slot = slot_by_leg(carrier, changed.leg);
    if (!slot || !check_receipt(carrier, slot, changed.receipt, &evidence)) return;
    if (evidence.statement.event != EVENT_HANDED_OVER) return;
    must(receipt_decode(changed.receipt, &receipt), "a receipt");
    carrier->options.ears->on_receipt(carrier->options.context, slot->done.number, receipt.statement);
    slot_free(slot);
}

/* ---- recipient ---- */

static void fetch(struct carrier *carrier, struct slot *slot, enum part_number part, uint64_t index) {
    struct fetch fetch = {.has_leg = true, .part = (uint64_t)part, .index = index};
    memcpy(fetch.header, slot->done.digest, HASH_SIZE);
    memcpy(fetch.leg, slot->done.leg, HASH_SIZE);
    ask(carrier, MESSAGE_FETCH, &fetch, slot);
}

static void keep(struct buf *room, struct bytes bytes, struct bytes *ret) {
    buf_clear(room);
    buf_add_bytes(room, bytes);
    must(buf_error(room), "an offer");
    *ret = buf_bytes(room);
}

static void on_offered(struct carrier *carrier, struct bytes body) {
    struct offered offered;
    struct opening opening;
    struct header header;
    struct evidence evidence;
    const uint8_t *hash;
    must(offered_decode(body, &offered), "an offer");
    struct slot *slot = slot_new(carrier);
    slot->stage = OFFER_WAIT;
    slot->letter = (struct letter){.position = offered.place.position, .has_path = true};
    keep(&slot->room.header, offered.header, &slot->letter.header);
    keep(&slot->room.opening, offered.place.opening, &slot->letter.opening);
    keep(&slot->room.wrapset, offered.wrapset, &slot->letter.wrapset);
    buf_clear(&slot->path);
    struct list path = offered.path;
    while (list_next_fixed(&path, HASH_SIZE, &hash)) buf_add(&slot->path, hash, HASH_SIZE);
    slot->letter.path = buf_bytes(&slot->path);
    struct bytes payload;
    must(stamp_peek(slot->letter.header, &payload), "a header");
    must(header_decode(payload, &header), "a header");
    header_digest(payload, slot->done.digest);
    must(legs_verify(&offered.place, offered.path, header.legs, &opening, slot->done.leg), "a leg");
    slot->done.number = letter_number(&slot->letter);
    slot->body_length = header.body.length;
    check_receipt(carrier, slot, offered.receipt, &evidence);
}

static void fetch_more(struct carrier *carrier, struct slot *slot) {
    while (slot->chunk_next < slot->chunk_count && slot->chunk_next - slot->chunk_have < FETCH_WINDOW &&
           carrier->fetching < FETCHES_MOST) {
        fetch(carrier, slot, PART_BODY, slot->chunk_next++);
        carrier->fetching++;
    }
}

static void fetch_all(struct carrier *carrier) {
    for (size_t i = 0; i < carrier->used && carrier->fetching < FETCHES_MOST; i++)
        if (carrier->slots[i].stage == BODY_WAIT) fetch_more(carrier, &carrier->slots[i]);
}

static void take_offer(struct carrier *carrier, struct slot *slot, struct bytes data) {
    keep(&slot->room.offer, data, &slot->letter.offer);
    must(letter_open_offer(carrier->options.ends, &slot->letter), "an offer");
    slot->stage = OFFERED_OPEN;
    carrier->opened[carrier->opened_count++] = slot;
}

static void take_body(struct carrier *carrier, struct slot *slot, uint64_t index, struct bytes data) {
    if (index != slot->chunk_have++) letter_die("pouch: a chunk out of order");
    buf_add_bytes(&slot->room.body, data);
    if (slot->chunk_have < slot->chunk_count) {
        fetch_more(carrier, slot);
        return;
    }
    must(buf_error(&slot->room.body), "a body");
    slot->letter.body = buf_bytes(&slot->room.body);
    slot->stage = TOLD;
    carrier->options.ears->on_letter(carrier->options.context, slot->done.number, &slot->letter);
}

static void on_fetched(struct carrier *carrier, struct slot *slot, struct bytes body) {
    struct chunk chunk;
    must(chunk_decode(body, &chunk), "a chunk");
    if (chunk.part == PART_OFFER)
        take_offer(carrier, slot, chunk.data);
    else {
        carrier->fetching--;
        take_body(carrier, slot, chunk.index, chunk.data);
        fetch_all(carrier);
    }
}

static struct slot *slot_waiting(struct carrier *carrier, const uint8_t digest[static HASH_SIZE], enum stage stage) {
    for (size_t i = 0; i < carrier->used; i++)
        if (carrier->slots[i].stage == stage && memcmp(carrier->slots[i].done.digest, digest, HASH_SIZE) == 0)
            return &carrier->slots[i];
    return NULL;
}

/* What came along with an answer, and then what must be asked for. */
static void take_along(struct carrier *carrier, struct list list) {
    struct along along;
    while (along_next(&list, &along)) {
        struct slot *slot = slot_waiting(carrier, along.header, along.part == PART_OFFER ? OFFER_WAIT : BODY_NEXT);
        if (!slot) continue;
        if (along.part == PART_OFFER) {
            take_offer(carrier, slot, along.data);
            continue;
        }
        slot->stage = BODY_WAIT;
        slot->chunk_next = 1;
        take_body(carrier, slot, 0, along.data);
    }
    for (size_t i = 0; i < carrier->used; i++) {
        struct slot *slot = &carrier->slots[i];
        if (slot->stage == OFFER_WAIT && !slot->asked) {
            slot->asked = true;
            fetch(carrier, slot, PART_OFFER, 0);
        } else if (slot->stage == BODY_NEXT) {
            slot->stage = BODY_WAIT;
            fetch_more(carrier, slot);
        }
    }
}

static void say(struct carrier *carrier, struct buf *stamped, size_t count, struct slot **slots,
                const enum leg_event *events) {
    AUTO_BUF items = {0};
    for (size_t i = 0; i < count; i++) said_encode(&(struct said){.statement = buf_bytes(&stamped[i])}, &items);
    struct asked *asked = ask(carrier, MESSAGE_STATE,
                              &(struct state){.said = list_of(&items, count), .has_room = true, .room = ROOM}, NULL);
    asked->count = count;
    memcpy(asked->slots, slots, count * sizeof *slots);
    memcpy(asked->events, events, count * sizeof *events);
}

/* Accepts what was opened in this step. */
static void accept_some(struct carrier *carrier, struct slot **opened, size_t count) {
    struct letter_word words[STATE_MOST];
    struct buf stamped[STATE_MOST] = {0};
    struct slot *slots[STATE_MOST];
    enum leg_event events[STATE_MOST];
    for (size_t i = 0; i < 2 * count; i++) {
        slots[i] = opened[i / 2];
        events[i] = i % 2 == 0 ? EVENT_NOTIFIED : EVENT_ACCEPTED;
        words[i] = (struct letter_word){events[i], &slots[i]->done};
        slots[i]->stage = ACCEPT_WAIT;
    }
    letter_sign(carrier->options.ends, words, 2 * count, stamped);
    say(carrier, stamped, 2 * count, slots, events);
    for (size_t i = 0; i < 2 * count; i++) buf_free(&stamped[i]);
}

static void hand_over_some(struct carrier *carrier, size_t from, size_t count) {
    enum leg_event events[STATE_MOST];
    for (size_t i = 0; i < count; i++) events[i] = EVENT_HANDED_OVER;
    say(carrier, carrier->receipts + from, count, carrier->answered + from, events);
    for (size_t i = 0; i < count; i++) buf_clear(&carrier->receipts[from + i]);
}

static void on_stated(struct carrier *carrier, const struct asked *asked, struct bytes body) {
    struct stated stated;
    struct result result;
    struct evidence evidence;
    must(stated_decode(body, &stated), "STATED");
    for (size_t i = 0; i < asked->count; i++) {
        struct slot *slot = asked->slots[i];
        if (!result_next(&stated.results, &result) || result.error != E_OK)
            letter_die("pouch: a statement was refused: %s", error_text((enum error)result.error));
        check_receipt(carrier, slot, result.receipt, &evidence);
        if (asked->events[i] == EVENT_HANDED_OVER) slot_free(slot);
        if (asked->events[i] != EVENT_ACCEPTED) continue;
        slot->stage = BODY_NEXT;
        slot->chunk_count = chunks_count(slot->body_length);
        slot->chunk_next = slot->chunk_have = 0;
        buf_clear(&slot->room.body);
    }
    take_along(carrier, stated.has_along ? stated.along : (struct list){0});
}

static void pouch_answer(struct carrier *carrier, uint64_t number, struct bytes receipt) {
    for (size_t i = 0; i < carrier->used; i++) {
        struct slot *slot = &carrier->slots[i];
        if (slot->stage != TOLD || slot->done.number != number) continue;
        slot->stage = DONE_WAIT;
        carrier->answered[carrier->answered_count] = slot;
        buf_add_bytes(&carrier->receipts[carrier->answered_count++], receipt);
        return;
    }
    letter_die("pouch: an answer to no letter");
}

/* ---- steps ---- */

static void on_feed(struct carrier *carrier, struct bytes body) {
    struct feed feed;
    struct item item;
    must(feed_decode(body, &feed), "FEED");
    while (item_next(&feed.items, &item)) {
        if (item.number != carrier->feed + 1) letter_die("pouch: a gap in the feed");
        carrier->feed = item.number;
        if (carrier->options.sender)
            sender_item(carrier, &item);
        else if (item.kind == ITEM_OFFERED)
            on_offered(carrier, item.body);
    }
    if (!carrier->options.sender) take_along(carrier, feed.has_along ? feed.along : (struct list){0});
    carrier->asking = false;
    if (feed.newest > carrier->feed) carrier->hinted = true;
}

static void on_frame(struct carrier *carrier, struct bytes bytes) {
    struct frame frame;
    const struct message_row *row;
    struct failed failed;
    must(message_decode(bytes, &frame, &row), "a frame");
    if (row->type == MESSAGE_HINT) {
        carrier->hinted = true;
        return;
    }
    AUTO_FREE(struct asked) asked = take_asked(carrier, frame.number);
    if (row->type == MESSAGE_FAILURE) {
        must(failed_decode(frame.body, &failed), "FAILURE");
        if (pending_answered(carrier, asked, (enum error)failed.error)) return;
        letter_die("pouch: %s: %s (%.*s)", message_row(asked->type)->name, error_text((enum error)failed.error),
                   (int)failed.detail.n, (const char *)failed.detail.p);
    }
    (void)pending_answered(carrier, asked, E_OK);
    if (row->type == MESSAGE_SUBMITTED) on_submitted(carrier, asked->slot, frame.body);
    if (row->type == MESSAGE_FEED) on_feed(carrier, frame.body);
    if (row->type == MESSAGE_FETCHED) on_fetched(carrier, asked->slot, frame.body);
    if (row->type == MESSAGE_STATED) on_stated(carrier, asked, frame.body);
}

static void end_step(struct carrier *carrier) {
    for (size_t at = 0, n; at < carrier->opened_count; at += n) {
        n = carrier->opened_count - at < STATE_MOST / 2 ? carrier->opened_count - at : STATE_MOST / 2;
        accept_some(carrier, carrier->opened + at, n);
    }
    carrier->opened_count = 0;
    for (size_t at = 0, n; at < carrier->answered_count; at += n) {
        n = carrier->answered_count - at < STATE_MOST ? carrier->answered_count - at : STATE_MOST;
        hand_over_some(carrier, at, n);
    }
    carrier->answered_count = 0;
    send_pending(carrier);
    if (!carrier->hinted || carrier->asking) return;
    carrier->asking = true;
    carrier->hinted = false;
    ask(carrier, MESSAGE_GETFEED,
        &(struct getfeed){.after = carrier->feed, .max = FEED_ASK, .has_room = true, .room = ROOM}, NULL);
}

static void pouch_step(struct carrier *carrier, unsigned wait_ms) {
    zmq_pollitem_t item = {.socket = carrier->socket, .events = ZMQ_POLLIN};
    zmq_msg_t message;
    end_step(carrier);
    if (zmq_poll(&item, 1, (long)wait_ms) <= 0) return;
    zmq_msg_init(&message);
    while (zmq_msg_recv(&message, carrier->socket, ZMQ_DONTWAIT) >= 0)
        on_frame(carrier, bytes_of(zmq_msg_data(&message), zmq_msg_size(&message)));
    zmq_msg_close(&message);
    end_step(carrier);
}

/* ---- opening ---- */

static void read_card(const char *folder, struct card *ret) {
    char path[512], text[CARD_MAX];
    snprintf(path, sizeof path, "%s/relay/relay.card", folder);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, sizeof text, file) : 0;
    if (file) fclose(file);
    must(card_parse(bytes_of(text, n), ret, NULL), path);
}

/* Reads the feed up to now, so that what earlier runs have left is not met again. */
static void catch_up(struct carrier *carrier) {
    bool more = true;
    while (more) {
        AUTO_BUF frame = {0};
        message_encode(MESSAGE_GETFEED, ++carrier->number, &(struct getfeed){.after = carrier->feed, .max = FEED_MAX},
                       &frame);
        if (zmq_send(carrier->socket, frame.p, frame.n, 0) < 0) letter_die("pouch: send");
        zmq_msg_t message;
        zmq_msg_init(&message);
        struct frame got;
        const struct message_row *row = NULL;
        struct feed feed;
        struct item item;
        do {
            if (zmq_msg_recv(&message, carrier->socket, 0) < 0) letter_die("pouch: no answer: %s", zmq_strerror(errno));
            must(message_decode(bytes_of(zmq_msg_data(&message), zmq_msg_size(&message)), &got, &row), "a frame");
        } while (row->type == MESSAGE_HINT);
        if (row->type != MESSAGE_FEED) letter_die("pouch: the feed is refused");
        must(feed_decode(got.body, &feed), "FEED");
        while (item_next(&feed.items, &item)) carrier->feed = item.number;
        more = feed.newest > carrier->feed;
        zmq_msg_close(&message);
    }
}

static struct carrier *pouch_open(const struct carrier_options *options) {
    const struct letter_end *own = options->sender ? &options->ends->sender : &options->ends->recipient;
    struct carrier *carrier = calloc(1, sizeof *carrier);
    int linger = 2000, most = 0, wait_ms = 20000;
    if (!carrier) letter_die("memory ran out");
    carrier->options = *options;
    read_card(options->folder, &carrier->card);
    carrier->context = zmq_ctx_new();
    carrier->socket = zmq_socket(carrier->context, ZMQ_DEALER);
    bool good = carrier->socket &&
                zmq_setsockopt(carrier->socket, ZMQ_CURVE_SERVERKEY, carrier->card.curve, KEY_SIZE) == 0 &&
                zmq_setsockopt(carrier->socket, ZMQ_CURVE_PUBLICKEY, own->transport, KEY_SIZE) == 0 &&
                zmq_setsockopt(carrier->socket, ZMQ_CURVE_SECRETKEY, own->transport_secret, KEY_SIZE) == 0 &&
                zmq_setsockopt(carrier->socket, ZMQ_LINGER, &linger, sizeof linger) == 0 &&
                zmq_setsockopt(carrier->socket, ZMQ_RCVHWM, &most, sizeof most) == 0 &&
                zmq_setsockopt(carrier->socket, ZMQ_SNDHWM, &most, sizeof most) == 0 &&
                zmq_setsockopt(carrier->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms) == 0 &&
                zmq_connect(carrier->socket, carrier->card.addresses[0]) == 0;
    if (!good) letter_die("pouch: the link: %s", zmq_strerror(errno));
    carrier->hinted = options->earlier;
    if (!options->earlier) catch_up(carrier);
    return carrier;
}

static void pouch_close(struct carrier *carrier) {
    zmq_close(carrier->socket);
    zmq_ctx_term(carrier->context);
    for (size_t i = 0; i < SLOTS; i++) {
        letter_room_free(&carrier->slots[i].room);
        buf_free(&carrier->slots[i].path);
        buf_free(&carrier->receipts[i]);
    }
    for (size_t i = 0; i < carrier->asked_count; i++) free(carrier->asked[i]);
    evidence_cache_free(&carrier->cache);
    free(carrier);
}

const struct carrier_row carrier_pouch = {.name = "pouch",
                                          .open = pouch_open,
                                          .send = pouch_send,
                                          .answer = pouch_answer,
                                          .step = pouch_step,
                                          .close = pouch_close};
