// SPDX-License-Identifier: Apache-2.0
// Requests: what is sent, what is tried again, how it ends.
#define _GNU_SOURCE
#include "base/base.h"
#include "kube/client.h"
#include "server.h"
#include "tap.h"

#define MS 1000000ull
#define OK_BODY "{\"kind\":\"Lease\"}"
#define BUSY_STATUS "{\"kind\":\"Status\",\"code\":429,\"reason\":\"TooManyRequests\",\"message\":\"slow down\"}"

struct run {
	struct pp_loop *loop;
	struct pp_kube *kube;
	struct pp_source *late;
	char token_file[64];
	unsigned int answers, wanted;
	int error, status;
	char kind[32], why[256];
	bool was_late, rotate;
};

static void write_token(struct run *run, const char *token)
{
	_cleanup_fclose_ FILE *f = fopen(run->token_file, "w");

	if (!f || fputs(token, f) < 0)
		abort();
}

static void on_answer(const struct pp_kube_answer *a, void *arg)
{
	struct run *run = arg;

	run->error = a->error;
	run->status = a->status;
	snprintf(run->kind, sizeof(run->kind), "%s",
		 json_string_value(json_object_get(a->body, "kind")) ?: "");
	snprintf(run->why, sizeof(run->why), "%s", a->why);
	if (++run->answers == run->wanted)
		pp_loop_stop(run->loop);
}

static void on_late(void *arg)
{
	struct run *run = arg;

	run->was_late = true;
	pp_loop_stop(run->loop);
}

static void begin(struct run *run, int port)
{
	struct pp_kube_config config = { .token_file = run->token_file };
	struct pp_err e = { "" };
	int fd;

	*run = (struct run){ .token_file = "/tmp/podpace-test-XXXXXX", .wanted = 1 };
	fd = mkstemp(run->token_file);
	close(fd);
	write_token(run, " old\n");
	if (asprintf(&config.server, "http://127.0.0.1:%d/prefix", port) < 0 ||
	    pp_loop_new(&run->loop) || pp_source_timer(run->loop, on_late, run, &run->late) ||
	    pp_kube_new(run->loop, &config, "podpace/test", &run->kube, &e))
		abort();
	free(config.server);
	pp_source_arm(run->late, 5000 * MS);
}

static void end(struct run *run)
{
	pp_kube_free(run->kube);
	pp_source_free(run->late);
	pp_loop_free(run->loop);
	unlink(run->token_file);
}

/* One request against a script; new_token, if there is one, is written before it. */
static void ask(struct run *run, const struct step *steps, size_t n, const char *new_token,
		const char *name)
{
	struct server *s = server_start(steps, n);
	bool matched;
	size_t served;

	begin(run, server_port(s));
	if (new_token)
		write_token(run, new_token);
	if (pp_kube_request(run->kube, "GET", "/api", NULL, NULL, on_answer, run))
		abort();
	pp_loop_run(run->loop);
	served = server_stop(s, &matched);
	ok(matched && served == n && !run->was_late, "%s: what is asked for (%zu)", name, served);
	end(run);
}

static void test_answers(void)
{
	static const struct step plain[] = {
		{ "GET /prefix/api Authorization: Bearer old User-Agent: podpace/test Accept: application/json",
		  NULL, 200, NULL, OK_BODY, END }
	};
	static const struct step forbidden[] = {
		{ "GET", NULL, 403, NULL, "{\"message\":\"not\\nyou\",\"reason\":\"Forbidden\"}", END }
	};
	static const struct step text[] = { { "GET", NULL, 502, NULL, "<html>", END } };
	static const struct step cut[] = { { "GET", NULL, 200, NULL, OK_BODY, CUT } };
	static const struct step tls[] = { { "GET", NULL, 400, NULL, "Client sent\n", END } };
	struct run run;

	ask(&run, plain, 1, NULL, "a plain request");
	ok(!run.error && run.status == 200 && !strcmp(run.kind, "Lease") && !run.why[0], "200");
	ask(&run, forbidden, 1, NULL, "forbidden");
	is_u64(run.status, 403, "403");
	is_str(run.why, "not?you (HTTP 403 Forbidden)", "why, on one line");
	ask(&run, text, 1, NULL, "no JSON");
	ok(run.status == 502 && !run.kind[0], "502 without a body");
	is_str(run.why, "HTTP 502", "why: nothing of a page");
	ask(&run, tls, 1, NULL, "plain text");
	is_str(run.why, "HTTP 400: Client sent", "why: the text");
	ask(&run, cut, 1, NULL, "cut");
	is_u64(-run.error, ECONNRESET, "the connection's error");
	ok(!run.status && strstr(run.why, "http://127.0.0.1:") == run.why, "no status: %s",
	   run.why);
}

static void test_again(void)
{
	static const struct step busy[] = {
		{ "GET", NULL, 429, "Retry-After: 1\r\n", BUSY_STATUS, END },
		{ "GET", NULL, 200, NULL, OK_BODY, END },
	};
	static const struct step too_busy[] = {
		{ "GET", NULL, 503, "Retry-After: 100\r\n", BUSY_STATUS, END },
	};
	static const struct step rotated[] = {
		{ "Bearer old", NULL, 401, NULL, "{}", END },
		{ "Bearer new", NULL, 401, NULL, "{}", END },
	};
	static const struct step same[] = { { "Bearer old", NULL, 401, NULL, "{}", END } };
	uint64_t begun = pp_loop_now();
	struct run run;

	ask(&run, busy, 2, NULL, "429 with Retry-After");
	ok(run.status == 200 && pp_loop_now() - begun >= 1000 * MS, "tried again after a second");
	ask(&run, too_busy, 1, NULL, "a Retry-After beyond our patience");
	is_u64(run.status, 503, "is answered at once");
	ask(&run, rotated, 2, "new\n", "401 and a new token: once more, and only once");
	is_u64(run.status, 401, "then it is the answer");
	ask(&run, same, 1, NULL, "401 and the same token");
	ask(&run, same, 1, "two words", "401 and what is no token: the old one stays");
}

static void test_body(void)
{
	static const struct step steps[] = {
		{ "PATCH /prefix/x Content-Type: application/apply-patch+yaml {\"a\":1}",
		  "Expect: 100", 201, NULL, OK_BODY, END },
		{ "DELETE /prefix/y", "Content-Type", 200, NULL, "", END },
	};
	struct server *s = server_start(steps, 2);
	struct run run;
	bool matched;

	begin(&run, server_port(s));
	if (pp_kube_request(run.kube, "PATCH", "/x", "application/apply-patch+yaml", "{\"a\":1}",
			    on_answer, &run))
		abort();
	pp_loop_run(run.loop);
	is_u64(run.status, 201, "a PATCH with a body");
	run.wanted = 2;
	if (pp_kube_request(run.kube, "DELETE", "/y", NULL, NULL, on_answer, &run))
		abort();
	pp_loop_run(run.loop);
	ok(run.status == 200 && !run.kind[0] && !run.why[0], "a DELETE, an empty answer");
	is_u64(server_stop(s, &matched), 2, "both were asked for");
	ok(matched, "as they should");
	/* nobody listens any more; and one more whose answer will never be waited for */
	run.wanted = 3;
	if (pp_kube_request(run.kube, "GET", "/z", NULL, NULL, on_answer, &run))
		abort();
	pp_loop_run(run.loop);
	is_u64(-run.error, ECONNREFUSED, "refused");
	if (pp_kube_request(run.kube, "POST", "/z", "application/json", "{}", on_answer, &run))
		abort();
	end(&run);
	is_u64(run.answers, 3, "what is aborted is not answered");
}

static void test_bad_config(void)
{
	static const struct {
		struct pp_kube_config config;
		int code;
		const char *msg;
	} cases[] = {
		{ { .token = "t" }, EINVAL, "no server to talk to" },
		{ { .server = "http://h", .token = "a\nb" }, EINVAL, "the token has a space or a control character" },
		{ { .server = "http://h", .token_file = "/nonexistent/t" }, ENOENT, "/nonexistent/t: No such file or directory" },
		{ { .server = "http://h", .token_file = "/dev/null" }, EBADMSG, "/dev/null: holds no token" },
	};
	struct pp_loop *l;

	if (pp_loop_new(&l))
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pp_kube *k = NULL;
		struct pp_err e = { "" };

		is_u64(-pp_kube_new(l, &cases[i].config, "a", &k, &e), cases[i].code, "config %zu", i);
		is_str(e.msg, cases[i].msg, "message of config %zu", i);
		ok(!k, "result untouched by config %zu", i);
	}
	pp_loop_free(l);
}

int main(void)
{
	setenv("NO_PROXY", "*", 1);
	test_answers();
	test_again();
	test_body();
	test_bad_config();
	return done_testing();
}
