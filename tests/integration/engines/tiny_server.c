/* A server of the Open Inference Protocol in an image that holds nothing else: it answers each item with [0.25, 0.75].
 *
 *     tiny_server PORT
 *
 * One connection at a time, JSON tensors only. It calls its model "tiny" and knows no other.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char request[1 << 20], body[1 << 16], answer[1 << 17];

static void say(int connection, int status, const char *content) {
    int size = snprintf(answer, sizeof answer, "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\n\r\n%s", status,
                        strlen(content), content);
    if (write(connection, answer, (size_t)size) != size) exit(1);
}

static void infer(int connection, const char *asked) {
    const char *shape = strstr(asked, "\"shape\":[");
    int items = shape ? atoi(shape + 9) : 0, at;
    at = sprintf(body, "{\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[%d,2],\"data\":[", items);
    for (int item = 0; item < items; item++) at += sprintf(body + at, "%s0.25,0.75", item ? "," : "");
    strcpy(body + at, "]}]}");
    say(connection, 200, body);
}

static void reply(int connection, const char *asked) {
    if (!strncmp(asked, "GET /v2/health/ready ", 21)) say(connection, 200, "");
    else if (!strncmp(asked, "GET /v2 ", 8)) say(connection, 200, "{\"name\":\"tiny\",\"extensions\":[]}");
    else if (!strncmp(asked, "GET /v2/models/tiny ", 20))
        say(connection, 200, "{\"name\":\"tiny\",\"inputs\":[{\"name\":\"x\"}],\"outputs\":[{\"name\":\"y\"}]}");
    else if (!strncmp(asked, "POST /v2/models/tiny/infer ", 27)) infer(connection, asked);
    else say(connection, 404, "{\"error\":\"unknown\"}");
}

/* Read one request with its body; false where the other side hung up. */
static int hear(int connection) {
    size_t have = 0;
    for (;;) {
        ssize_t count = read(connection, request + have, sizeof request - 1 - have);
        char *end, *length;
        if (count <= 0) return 0;
        request[have += (size_t)count] = 0;
        end = strstr(request, "\r\n\r\n");
        length = strstr(request, "Content-Length: ");
        if (end && have >= (size_t)(end + 4 - request) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0))
            return 1;
    }
}

int main(int count, char **arguments) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), connection;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(arguments[count - 1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8)) return 1;
    while ((connection = accept(listener, NULL, NULL)) >= 0) {
        while (hear(connection)) reply(connection, request);
        close(connection);
    }
    return 1;
}
