/* workers.c - one list under one lock: [oldest .. next) are being verified or done, [next .. newest] wait. */
#include "workers.h"

#include <assert.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct work *oldest, *next, *newest;
    size_t count, bytes;
    bool stop;
    int fd;
    unsigned thread_count;
    pthread_t threads[];
};

void work_free(struct work **pp) {
    struct work *work = take(pp);
    if (!work) return;
    snapshot_drop(&work->snapshot);
    buf_free(&work->frame);
    free(work);
}

static void perform(struct work *work) {
    struct verify_question question = {.directory = work->snapshot->directory,
                                       .device = work->device,
                                       .row = work->row,
                                       .body = work->body,
                                       .time = work->time};
    work->error = verify_message(&question, work->detail);
}

static void raise_fd(int fd) {
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n; /* fails only when it is readable already */
}

static void *run(void *argument) {
    struct workers *workers = argument;
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        while (!workers->next && !workers->stop) pthread_cond_wait(&workers->given, &workers->lock);
        if (workers->stop) break;
        struct work *work = workers->next;
        workers->next = work->next;
        while (workers->next && workers->next->done) workers->next = workers->next->next;
        pthread_mutex_unlock(&workers->lock);
        perform(work);
        pthread_mutex_lock(&workers->lock);
        work->done = true;
        if (work == workers->oldest) raise_fd(workers->fd);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

struct workers *workers_start(unsigned count) {
    struct workers *workers = calloc(1, sizeof *workers + count * sizeof workers->threads[0]);
    if (!workers) return NULL;
    workers->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->given, NULL);
    bool started = workers->fd >= 0;
    while (started && workers->thread_count < count) {
        started = pthread_create(&workers->threads[workers->thread_count], NULL, run, workers) == 0;
        if (started) workers->thread_count++;
    }
    if (!started) workers_stop(&workers);
    return workers;
}

void workers_stop(struct workers **pp) {
    struct workers *workers = take(pp);
    if (!workers) return;
    pthread_mutex_lock(&workers->lock);
    workers->stop = true;
    pthread_cond_broadcast(&workers->given);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->thread_count; i++) pthread_join(workers->threads[i], NULL);
    while (workers->oldest) {
        struct work *work = workers->oldest;
        workers->oldest = work->next;
        work_free(&work);
    }
    pthread_cond_destroy(&workers->given);
    pthread_mutex_destroy(&workers->lock);
    if (workers->fd >= 0) close(workers->fd);
    free(workers);
}

int workers_fd(const struct workers *workers) { return workers->fd; }

static bool has_room(const struct workers *workers, size_t bytes) {
    return workers->count < WORKERS_QUEUE_MAX && bytes <= WORKERS_BYTES_MAX - workers->bytes;
}

static void append(struct workers *workers, struct work *work) {
    work->next = NULL;
    if (workers->newest)
        workers->newest->next = work;
    else
        workers->oldest = work;
    workers->newest = work;
    if (!workers->next && !work->done) workers->next = work;
    workers->count++;
    workers->bytes += work->frame.n;
}

enum error workers_put(struct workers *workers, struct work **work) {
    bool light = verify_is_light((*work)->row);
    (*work)->done = false;
    pthread_mutex_lock(&workers->lock);
    bool room = has_room(workers, (*work)->frame.n);
    if (room && light) {
        perform(*work);
        (*work)->done = true;
    }
    if (room) append(workers, take(work));
    if (room && !light) pthread_cond_signal(&workers->given);
    pthread_mutex_unlock(&workers->lock);
    return room ? E_OK : E_BUSY;
}

struct work *workers_take(struct workers *workers) {
    pthread_mutex_lock(&workers->lock);
    struct work *work = workers->oldest;
    if (work && work->done) {
        workers->oldest = work->next;
        if (!workers->oldest) workers->newest = NULL;
        workers->count--;
        workers->bytes -= work->frame.n;
    } else {
        /* Under the lock, so that no worker can have raised it for the oldest in between. */
        uint64_t raised;
        ssize_t n = read(workers->fd, &raised, sizeof raised);
        (void)n;
        work = NULL;
    }
    pthread_mutex_unlock(&workers->lock);
    return work;
}
