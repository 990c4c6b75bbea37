/* stage.h - real users of a real relay, through a double each of their commands passes: what the acts against a lying relay
 * have in common. One stage a program: a relay, its double, a folder of papers, and users whose homes can be put back. */
#ifndef STAGE_H
#define STAGE_H

#include "double.h"
#include "text.h"

struct user {
    const char *party, *post;
    char home[SCENE_PATH], authority[SCENE_PATH], saved[SCENE_PATH];
    uint8_t secret[KEY_SIZE], public[KEY_SIZE];
};

extern struct scene_relay stage_relay;
extern struct double_relay stage_double;
extern char stage_papers[64], stage_card[SCENE_PATH]; /* the card leads to the double */

/* Relay, double and papers; `adjust` as in scene_relay_start. */
void stage_open(void (*adjust)(struct config *config));
void stage_close(void);

/* Runs the built `pouch` in the papers' folder; whatever happens it must end in order, with an exit code that means
 * something. words_of ends with NULL. */
void stage_run(const char *home, struct ran *ran, const char *const *words_of);
#define POUCH(user, ran, ...)                                                                                          \
    do {                                                                                                               \
        double_become(&stage_double, (user)->secret, (user)->public);                                                  \
        stage_run((user)->home, ran, (const char *const[]){__VA_ARGS__, NULL});                                        \
    } while (0)
#define POUCH_GOOD(user, ran, ...)                                                                                     \
    do {                                                                                                               \
        POUCH(user, ran, __VA_ARGS__);                                                                                 \
        if ((ran)->exit != 0) fail_msg("pouch " #__VA_ARGS__ ": %s", (const char *)(ran)->err.p);                      \
    } while (0)

/* Authority, admission, post and certificate; the user has not joined yet. */
void stage_make_user(struct user *user);
/* Of the card that leads to the double. */
void stage_fingerprint(char ret[static TEXT_FINGERPRINT_SIZE]);
void stage_join(const struct user *user, struct ran *ran);

/* A home as it is now, and as it was then. */
void stage_save(const struct user *user);
void stage_put_back(const struct user *user);
void stage_copy_tree(const char *from, const char *to);
void stage_remove_tree(const char *path);

/* A text of a JSON object; it must be there. */
void stage_text_field(const char *json, const char *name, char *ret, size_t room);

#endif
