/* news.c - what has changed in the directory: listed for who asks. */
#include "commands.h"

enum { OPTION_ALL = 1 };

COMMAND_OPTIONS(home_news, {"all", OPTION_ALL, false});

static void news_line(void *context, const struct news_view *news) {
    struct run *run = context;
    char time[TIME_SIZE];
    if (run->cli.json) {
        present_json(stdout,
                     json_pack("{s:o, s:s, s:s, s:o, s:o}", "at", present_json_time(news->at), "kind", news->kind,
                               "party", news->party, "post", news->post[0] ? json_string(news->post) : json_null(),
                               "text", present_json_text(bytes_text(news->text))));
        return;
    }
    printf("%s  ", present_time(&run->look, news->at, time));
    present_text(stdout, &run->look, STYLE_NONE, bytes_text(news->text), false);
    fputc('\n', stdout);
}

int home_news(struct run *run) {
    bool all = false;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id != OPTION_ALL) return run_usage(run);
        all = true;
    }
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run->tells_news = true;
    run_try_sync(run);
    error = client_news(&run->home, NEWS_READ, all, news_line, run, &run->failure);
    if (error == E_OK) error = client_news(&run->home, NEWS_TOLD, false, NULL, NULL, &run->failure);
    return error == E_OK ? run_shown(run) : run_fail(run, error);
}
