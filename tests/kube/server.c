// SPDX-License-Identifier: Apache-2.0
// Blocking calls in one thread: whoever asks next gets the next step.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/base.h"
#include "server.h"

#define REQUEST_MAX (4u << 20)

struct server {
	pthread_t thread;
	int fd, port;
	const struct step *steps;
	size_t n;
	atomic_size_t at;
	bool mismatch;
	int held[64];
	size_t n_held;
};

/* Head, and the body of whose length it speaks. */
static void read_request(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	buf[0] = '\0';
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0) {
		const char *head, *length;

		len += n;
		buf[len] = '\0';
		head = strstr(buf, "\r\n\r\n");
		if (!head)
			continue;
		length = strcasestr(buf, "content-length:");
		if (!length || (size_t)(buf + len - head - 4) >= strtoul(length + 15, NULL, 10))
			return;
	}
}

static bool matches(const char *request, const struct step *step)
{
	_cleanup_free_ char *words = strdup(step->expect);
	char *state = NULL;

	for (char *w = strtok_r(words, " ", &state); w; w = strtok_r(NULL, " ", &state))
		if (!strstr(request, w)) {
			printf("# expected %s\n", w);
			return false;
		}
	if (step->refuse && strstr(request, step->refuse)) {
		printf("# did not expect %s\n", step->refuse);
		return false;
	}
	return true;
}

static void send_answer(int fd, const struct step *step)
{
	FILE *f = fdopen(dup(fd), "w");

	fprintf(f, "HTTP/1.1 %d Scripted\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n%s\r\n",
		step->status, step->headers ?: "");
	if (step->body && step->body[0])
		fprintf(f, "%zx\r\n%s\r\n", strlen(step->body), step->body);
	if (step->ending == END)
		fprintf(f, "0\r\n\r\n");
	fclose(f);
}

static void *serve(void *arg)
{
	_cleanup_free_ char *request = malloc(REQUEST_MAX);
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		const struct step *step = &s->steps[s->at];

		read_request(fd, request, REQUEST_MAX);
		if (!request[0] || s->at == s->n) {
			if (request[0]) {
				printf("# a request too many: %.*s\n",
				       (int)strcspn(request, "\r"), request);
				s->mismatch = true;
			}
			close(fd);
			continue;
		}
		if (!matches(request, step)) {
			printf("# in step %zu: %.*s\n", s->at, (int)strcspn(request, "\r"), request);
			s->mismatch = true;
		}
		send_answer(fd, step);
		s->at++;
		if (step->ending == HOLD && s->n_held < ARRAY_SIZE(s->held))
			s->held[s->n_held++] = fd;
		else
			close(fd);
	}
	return NULL;
}

struct server *server_start(const struct step *steps, size_t n)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	struct server *s = calloc(1, sizeof(*s));

	s->steps = steps;
	s->n = n;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->fd, (struct sockaddr *)&a, sizeof(a)) || listen(s->fd, 16) ||
	    getsockname(s->fd, (struct sockaddr *)&a, &len) ||
	    pthread_create(&s->thread, NULL, serve, s))
		abort();
	s->port = ntohs(a.sin_port);
	return s;
}

int server_port(const struct server *s)
{
	return s->port;
}

size_t server_at(const struct server *s)
{
	return s->at;
}

size_t server_stop(struct server *s, bool *ret_matched)
{
	size_t at;

	shutdown(s->fd, SHUT_RDWR); /* accept() returns */
	pthread_join(s->thread, NULL);
	close(s->fd);
	for (size_t i = 0; i < s->n_held; i++)
		close(s->held[i]);
	at = s->at;
	*ret_matched = !s->mismatch;
	free(s);
	return at;
}
