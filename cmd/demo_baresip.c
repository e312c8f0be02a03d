/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/demo_baresip.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TONE_RATE = 8000,
    TONE_S = 30,
    TONE_HALF_WAVE = 9, /* samples: 444 Hz */
    TONE_LOUDNESS = 3000,
    TONE_SAMPLES = TONE_RATE * TONE_S,
    TEXT_CAP = 1500,
    END_US = 1000000,
    END_POLL_US = 10000,
};

#define MODULES "/usr/lib/baresip/modules"

/* ---- its folder
 * ---------------------------------------------------------------------------------- */

static enum err write_file(const char *home, const char *name, struct slice bytes, char *why)
{
    char path[FILES_PATH_CAP];
    if (files_join(home, name, path) != ERR_OK || files_write(path, bytes, 0600, true) != ERR_OK) {
        return say_why(why, ERR_IO, "cannot write: %s/%s: %s", home, name, say_errno());
    }
    return ERR_OK;
}

/* A square wave as WAV: the headers are little-endian, as is every machine that this runs on. */
static enum err write_tone(const char *home, char *why)
{
    static struct {
        char riff[4];
        uint32_t size;
        char wave[8];
        uint32_t format_size;
        uint16_t format, channels;
        uint32_t rate, bytes_per_s;
        uint16_t frame_bytes, bits;
        char data[4];
        uint32_t data_size;
        int16_t samples[TONE_SAMPLES];
    } wav = {.riff = {'R', 'I', 'F', 'F'},
             .size = 36 + 2 * TONE_SAMPLES,
             .wave = {'W', 'A', 'V', 'E', 'f', 'm', 't', ' '},
             .format_size = 16,
             .format = 1,
             .channels = 1,
             .rate = TONE_RATE,
             .bytes_per_s = 2 * TONE_RATE,
             .frame_bytes = 2,
             .bits = 16,
             .data = {'d', 'a', 't', 'a'},
             .data_size = 2 * TONE_SAMPLES};
    for (size_t i = 0; i < TONE_SAMPLES; i++) {
        wav.samples[i] = i / TONE_HALF_WAVE % 2 == 0 ? TONE_LOUDNESS : -TONE_LOUDNESS;
    }
    return write_file(home, "tone.wav", slice_of(&wav, sizeof(wav)), why);
}

static enum err write_folder(const char *home, const struct demo_place_account *account,
                             const struct address *server, uint16_t port, char *why)
{
    char config[TEXT_CAP];
    char accounts[TEXT_CAP];
    char proxy[ADDRESS_TEXT_CAP];
    snprintf(config, sizeof(config),
             "sip_listen 127.0.0.1:%u\nctrl_tcp_listen 127.0.0.1:%u\n"
             "audio_source aufile,%s/tone.wav\naudio_alert aufile,/dev/null\n"
             "net_interface 127.0.0.1\ndns_server 127.0.0.1:9\naudio_buffer 20-160\n"
             "module_path " MODULES "\nmodule g711.so\nmodule aufile.so\n"
             "module_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n",
             port, port + 2, home); /* it also binds TLS at port + 1 */
    snprintf(accounts, sizeof(accounts),
             "<sip:%s>;auth_user=%.*s;auth_pass=%s;outbound=\"sip:%s;transport=udp\";regint=600"
             ";answermode=auto;audio_codecs=PCMU\n",
             account->user, (int)strcspn(account->user, "@"), account->user, account->password,
             address_text(server, proxy));
    enum err e = write_file(home, "config", slice_text(config), why);
    if (e == ERR_OK) {
        e = write_file(home, "accounts", slice_text(accounts), why);
    }
    if (e == ERR_OK) {
        e = write_file(home, "contacts", SLICE_EMPTY, why);
    }
    return e == ERR_OK ? write_tone(home, why) : e;
}

/* ---- its process
 * --------------------------------------------------------------------------------- */

_Noreturn static void become_baresip(const char *home, const char *log, pid_t demo)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (in >= 0 && out >= 0 && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        dup2(out, STDERR_FILENO) >= 0 && getppid() == demo) {
        execlp("baresip", "baresip", "-4", "-f", home, (char *)NULL);
    }
    _exit(127);
}

enum err demo_baresip_start(struct demo_baresip *b, const struct demo_place *place,
                            const struct demo_place_account *account, const struct address *server,
                            uint16_t port, char *why)
{
    char home[FILES_PATH_CAP];
    char log[FILES_PATH_CAP];
    *b = (struct demo_baresip){.control = -1, .control_port = (uint16_t)(port + 2)};
    demo_place_path(place, home, "baresip-%u", port);
    demo_place_path(place, log, "baresip-%u.log", port);
    if (access(MODULES, F_OK) != 0) {
        return say_why(why, ERR_NOT_FOUND,
                       "no baresip: %s: install the package baresip-core, or take --phones builtin",
                       MODULES);
    }
    if (files_folder(home) != ERR_OK) {
        return say_why(why, ERR_IO, "cannot make a folder: %s: %s", home, say_errno());
    }
    enum err e = write_folder(home, account, server, port, why);
    pid_t demo = getpid();
    pid_t pid = e == ERR_OK ? fork() : -1;
    if (pid == 0) {
        become_baresip(home, log, demo);
    }
    b->pid = pid > 0 ? pid : 0;
    return e != ERR_OK || pid > 0 ? e
                                  : say_why(why, ERR_IO, "no process: %s: free some", say_errno());
}

void demo_baresip_end(struct demo_baresip *b)
{
    if (b->control >= 0) {
        close(b->control);
        b->control = -1;
    }
    if (b->pid == 0) {
        return;
    }
    (void)kill(b->pid, SIGTERM); /* it unregisters */
    for (uint32_t waited = 0; waited < END_US; waited += END_POLL_US) {
        if (waitpid(b->pid, NULL, WNOHANG) == b->pid) {
            b->pid = 0;
            return;
        }
        usleep(END_POLL_US);
    }
    (void)kill(b->pid, SIGKILL);
    (void)waitpid(b->pid, NULL, 0);
    b->pid = 0;
}

/* ---- its control port
 * ---------------------------------------------------------------------------- */

bool demo_baresip_connect(struct demo_baresip *b)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(b->control_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (b->control >= 0) {
        return true;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0) {
        b->control = fd;
        return true;
    }
    if (fd >= 0) {
        close(fd);
    }
    return false;
}

static void tell(struct demo_baresip *b, const char *command, const char *parameter)
{
    char text[400];
    char line[TEXT_CAP];
    int len =
        snprintf(text, sizeof(text), "{\"command\":\"%s\",\"params\":\"%s\"}", command, parameter);
    CHECK(len > 0 && (size_t)len < sizeof(text)); /* our own words */
    len = snprintf(line, sizeof(line), "%d:%s,", len, text);
    (void)!send(b->control, line, (size_t)len, MSG_NOSIGNAL);
}

void demo_baresip_dial(struct demo_baresip *b, const char *user)
{
    char uri[DEMO_PLACE_USER_CAP + 8];
    b->is_up = b->is_closed = false;
    snprintf(b->why, sizeof(b->why), "no answer");
    snprintf(uri, sizeof(uri), "sip:%s", user);
    tell(b, "dial", uri);
}

void demo_baresip_hangup(struct demo_baresip *b)
{
    b->is_closed = false;
    tell(b, "hangup", "");
}

static void take(struct demo_baresip *b, const char *text, size_t len)
{
    json_t *event = json_loadb(text, len, 0, NULL);
    const char *type = json_string_value(json_object_get(event, "type"));
    const char *why = json_string_value(json_object_get(event, "param"));
    if (type != NULL && strcmp(type, "CALL_ESTABLISHED") == 0) {
        b->is_up = true;
        b->is_closed = false;
    } else if (type != NULL && strcmp(type, "CALL_CLOSED") == 0) {
        b->is_up = false;
        b->is_closed = true;
        snprintf(b->why, sizeof(b->why), "%s", why == NULL ? "closed" : why);
    }
    json_decref(event);
}

/* The whole netstrings of what was heard; the rest moves to the front. */
static void take_all(struct demo_baresip *b)
{
    size_t at = 0;
    while (at < b->heard_len) {
        char *colon = memchr(b->heard + at, ':', b->heard_len - at);
        if (colon == NULL) {
            break;
        }
        size_t begin = (size_t)(colon - b->heard) + 1;
        unsigned long len = strtoul(b->heard + at, NULL, 10); /* ends at the colon */
        if (len >= b->heard_len - begin) {
            break;
        }
        take(b, b->heard + begin, len);
        at = begin + len + 1; /* the comma */
    }
    memmove(b->heard, b->heard + at, b->heard_len - at);
    b->heard_len -= at;
}

void demo_baresip_poll(struct demo_baresip *b, uint32_t ms)
{
    struct pollfd in = {.fd = b->control, .events = POLLIN};
    if (b->heard_len == sizeof(b->heard)) {
        b->heard_len = 0; /* not what we understand */
    }
    if (poll(&in, 1, (int)ms) != 1) {
        return;
    }
    ssize_t got =
        recv(b->control, b->heard + b->heard_len, sizeof(b->heard) - b->heard_len, MSG_DONTWAIT);
    if (got > 0) {
        b->heard_len += (size_t)got;
        take_all(b);
    } else if (got == 0) {
        b->is_closed = true;
        snprintf(b->why, sizeof(b->why), "baresip has ended");
    }
}
