/* Brings a server that listens on TCP to the platform, in an image that needs to have nothing else.
 *
 *     bridge PORT -- COMMAND [ARGUMENT ...]
 *
 * Starts COMMAND, waits until it listens on 127.0.0.1:PORT, then dials the platform's unix socket
 * (TOUCHSTONE_SOCKET) and carries bytes between the two. It reads none of them: the platform speaks HTTP with
 * the server itself, and asks for the model by the name that the server has for it.
 *
 * Each connection to the platform has one to the server. Where the server closes its own (idle ones are closed by
 * many), the platform is dialled again. Where the platform hangs up, it is dialled for 20 seconds, for its program
 * may have been restarted; where its socket is gone, it is done and this ends with 0. Ends with the code of COMMAND
 * where that ends by itself. Linked statically: built by runners/channel/bridging.py.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 50, AGAIN_MS = 20000, GRACE_MS = 5000, LOOK_MS = 200, BLOCK = 256 * 1024 };

/* One direction of a conversation: what was read and not yet written. */
struct pipe {
    int from, to;
    size_t begin, end;
    char data[BLOCK];
};

static pid_t child;
static int child_status, child_ended;
static volatile sig_atomic_t told_to_end;
static struct pipe to_server, to_platform;

static void on_signal(int number) { told_to_end = number; }

static void pause_ms(long ms) {
    struct timespec time = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static long now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int is_over(void) {
    if (!child_ended && waitpid(child, &child_status, WNOHANG) == child) child_ended = 1;
    return child_ended || told_to_end;
}

/* The code a shell would give for how COMMAND ended. */
static int child_code(void) {
    return WIFSIGNALED(child_status) ? 128 + WTERMSIG(child_status) : WEXITSTATUS(child_status);
}

static void end_child(void) {
    long until = now_ms() + GRACE_MS;
    if (!child_ended) kill(child, SIGTERM);
    while (!child_ended && now_ms() < until) {
        if (waitpid(child, &child_status, WNOHANG) == child) child_ended = 1;
        else pause_ms(10);
    }
    if (!child_ended) {
        kill(child, SIGKILL);
        waitpid(child, &child_status, 0);
        child_ended = 1;
    }
}

static int connect_to(const struct sockaddr *address, socklen_t size) {
    int one = 1, descriptor = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    if (connect(descriptor, address, size) != 0) {
        int reason = errno;
        close(descriptor);
        errno = reason;
        return -1;
    }
    if (address->sa_family == AF_INET) setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return descriptor;
}

static int connect_server(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect_to((struct sockaddr *)&address, sizeof address);
}

static int connect_platform(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    return connect_to((struct sockaddr *)&address, sizeof address);
}

static int is_pending(const struct pipe *pipe) { return pipe->begin != pipe->end; }

/* Read into an empty pipe, or write from a full one, as far as it goes at once. False: that side is gone. */
static int move(struct pipe *pipe) {
    ssize_t count;
    if (!is_pending(pipe)) {
        count = recv(pipe->from, pipe->data, BLOCK, MSG_DONTWAIT);
        if (count == 0) return 0;
        if (count > 0) {
            pipe->begin = 0;
            pipe->end = (size_t)count;
        }
    } else {
        count = send(pipe->to, pipe->data + pipe->begin, pipe->end - pipe->begin, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count > 0) pipe->begin += (size_t)count;
    }
    return count > 0 || errno == EAGAIN || errno == EINTR;
}

/* What was read goes out at once: most questions and answers fit. */
static int move_on(struct pipe *pipe) {
    int reading = !is_pending(pipe);
    return move(pipe) && (!reading || !is_pending(pipe) || move(pipe));
}

static int is_ready(const struct pipe *pipe, const struct pollfd ends[2]) {
    int index = pipe == &to_server ? 0 : 1; /* ends[0] is the platform, ends[1] the server */
    if (!is_pending(pipe)) return ends[index].revents != 0;
    return ends[1 - index].revents & (POLLOUT | POLLHUP | POLLERR);
}

/* What each side is waited for. A hang-up is told again and again: a server that is asked for nothing is not looked at. */
static void look_at(struct pollfd ends[2], int platform, int server, int asking) {
    short in = is_pending(&to_platform) ? 0 : POLLIN, out = asking && is_pending(&to_server) ? POLLOUT : 0;
    ends[0].fd = platform;
    ends[0].events = (asking && !is_pending(&to_server) ? POLLIN : 0) | (is_pending(&to_platform) ? POLLOUT : 0);
    ends[1].fd = in | out ? server : -1;
    ends[1].events = in | out;
    ends[0].revents = ends[1].revents = 0;
}

/* Carry bytes until one side hangs up. The server's last words are delivered before, also where it takes no more
 * questions or its program has ended; the platform's need no answer. */
static void converse(int platform, int server) {
    struct pollfd ends[2];
    int asking = 1;
    long until = 0;
    to_server.from = to_platform.to = platform;
    to_server.to = to_platform.from = server;
    to_server.begin = to_server.end = to_platform.begin = to_platform.end = 0;
    for (;;) {
        if (is_over()) {
            if (told_to_end) return;
            asking = 0;
            if (until == 0) until = now_ms() + GRACE_MS;
            if (now_ms() >= until) return;
        }
        look_at(ends, platform, server, asking);
        if (poll(ends, 2, LOOK_MS) <= 0) {
            if (child_ended && !is_pending(&to_platform)) return; /* a child of its own may hold the connection */
            continue;
        }
        if (ends[0].revents & (POLLHUP | POLLERR)) return;
        if (is_ready(&to_platform, ends) && !move_on(&to_platform)) return;
        if (asking && is_ready(&to_server, ends) && !move_on(&to_server)) {
            if (!is_pending(&to_server)) return; /* nothing was read: the platform hung up */
            asking = 0;
        }
    }
}

/* Wait until the platform says something; false if it hung up instead. */
static int is_asked(int platform) {
    char byte;
    while (!is_over()) {
        struct pollfd one = {.fd = platform, .events = POLLIN};
        if (poll(&one, 1, LOOK_MS) > 0) return recv(platform, &byte, 1, MSG_PEEK) == 1;
    }
    return 0;
}

static int connect_again(const char *path) {
    long until = now_ms() + AGAIN_MS;
    while (!is_over() && now_ms() < until) {
        int platform = connect_platform(path);
        if (platform >= 0 || errno == ENOENT) return platform;
        pause_ms(PAUSE_MS);
    }
    return -1;
}

static void serve(const char *path, int port, int platform) {
    while (platform >= 0 && !is_over()) {
        if (is_asked(platform)) {
            int server = connect_server(port);
            if (server >= 0) {
                converse(platform, server);
                close(server);
            }
        }
        close(platform);
        if (is_over()) return;
        pause_ms(1); /* whoever hangs up at once does not keep a processor busy */
        platform = connect_again(path);
    }
}

static int wait_for_server(int port) {
    while (!is_over()) {
        int probe = connect_server(port);
        if (probe >= 0) {
            close(probe);
            return 1;
        }
        pause_ms(PAUSE_MS);
    }
    return 0;
}

static void start(char **command) {
    child = fork();
    if (child != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    unsetenv("TOUCHSTONE_SOCKET"); /* the channel is this program's: a server that would dial it shall listen */
    execvp(command[0], command);
    fprintf(stderr, "bridge: cannot start %s: %s\n", command[0], strerror(errno));
    _exit(127);
}

int main(int count, char **arguments) {
    const char *path = getenv("TOUCHSTONE_SOCKET");
    int port = count > 1 ? atoi(arguments[1]) : 0, platform;
    struct sigaction action = {.sa_handler = on_signal};
    if (count < 4 || strcmp(arguments[2], "--") != 0 || port < 1 || port > 65535 || path == NULL || !*path) {
        fprintf(stderr, "usage: TOUCHSTONE_SOCKET=PATH bridge PORT -- COMMAND [ARGUMENT ...]\n");
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    start(arguments + 3);
    if (child < 0) {
        perror("bridge: fork");
        return 1;
    }
    if (wait_for_server(port)) {
        platform = connect_platform(path);
        if (platform < 0) perror("bridge: the platform's socket");
        else serve(path, port, platform);
        if (platform < 0 && !child_ended) {
            end_child();
            return 1;
        }
    } else if (child_ended) {
        fprintf(stderr, "bridge: the server ended with code %d before it listened on port %d\n", child_code(), port);
    }
    if (child_ended) return child_code();
    end_child();
    return told_to_end ? 128 + told_to_end : 0;
}
