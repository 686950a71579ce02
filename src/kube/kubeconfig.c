// SPDX-License-Identifier: Apache-2.0
// Files are kept as libyaml parsed them, so that a message can name the line.
#define _GNU_SOURCE
#include <stdarg.h>
#include <strings.h>
#include <yaml.h>

#include "base/base.h"
#include "base/base64.h"
#include "kube/kubeconfig.h"

struct file {
	struct file *next;
	char *name;
	yaml_document_t doc;
};

struct pp_kubeconfig {
	struct file *files;
};

/* A node, and the file to blame for it. */
struct place {
	struct file *file;
	yaml_node_t *node;
};

int pp_kubeconfig_new(struct pp_kubeconfig **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void free_file(struct file *f)
{
	if (!f)
		return;
	yaml_document_delete(&f->doc);
	free(f->name);
	free(f);
}

static void free_filep(struct file **f)
{
	free_file(*f);
}

void pp_kubeconfig_free(struct pp_kubeconfig *k)
{
	struct file *next;

	if (!k)
		return;
	for (struct file *f = k->files; f; f = next) {
		next = f->next;
		free_file(f);
	}
	free(k);
}

__attribute__((format(printf, 3, 4))) static int blame(struct place at, struct pp_err *e,
							const char *fmt, ...)
{
	char text[sizeof(e->msg)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return pp_err_set(e, -EINVAL, "%s:%zu: %s", at.file->name,
			  at.node ? at.node->start_mark.line + 1 : 1, text);
}

static bool is_null(const yaml_node_t *n)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

	if (!n)
		return true;
	if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(nulls); i++)
		if (strcmp((char *)n->data.scalar.value, nulls[i]) == 0)
			return true;
	return false;
}

/* What a mapping has under key; a node of NULL if there is nothing, or null. */
static struct place get(struct place map, const char *key)
{
	struct place none = { map.file, NULL };

	if (!map.node || map.node->type != YAML_MAPPING_NODE)
		return none;
	for (yaml_node_pair_t *p = map.node->data.mapping.pairs.start;
	     p < map.node->data.mapping.pairs.top; p++) {
		yaml_node_t *k = yaml_document_get_node(&map.file->doc, p->key);
		yaml_node_t *v = yaml_document_get_node(&map.file->doc, p->value);

		if (k && k->type == YAML_SCALAR_NODE &&
		    strcmp((char *)k->data.scalar.value, key) == 0)
			return is_null(v) ? none : (struct place){ map.file, v };
	}
	return none;
}

/* Borrows. *ret is NULL if there is none. */
static int get_text(struct place map, const char *key, const char **ret, struct pp_err *e)
{
	struct place v = get(map, key);
	const char *s;

	*ret = NULL;
	if (!v.node)
		return 0;
	if (v.node->type != YAML_SCALAR_NODE)
		return blame(v, e, "%s: expected text", key);
	s = (char *)v.node->data.scalar.value;
	if (strlen(s) != v.node->data.scalar.length)
		return blame(v, e, "%s: has a NUL", key);
	*ret = *s ? s : NULL;
	return 0;
}

static int copy_text(struct place map, const char *key, char **ret, struct pp_err *e)
{
	const char *s;
	int r = get_text(map, key, &s, e);

	if (r || !s)
		return r;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

/* A relative path starts where its file is. */
static int copy_path(struct place map, const char *key, char **ret, struct pp_err *e)
{
	const char *s, *slash = strrchr(map.file->name, '/');
	int r = get_text(map, key, &s, e);

	if (r || !s)
		return r;
	if (s[0] == '/' || !slash)
		*ret = strdup(s);
	else if (asprintf(ret, "%.*s/%s", (int)(slash - map.file->name), map.file->name, s) < 0)
		*ret = NULL;
	return *ret ? 0 : -ENOMEM;
}

/* As PEM text from key-data, or else the path of a file from key. */
static int copy_pem(struct place map, const char *key, char **ret_file, char **ret_data,
		    struct pp_err *e)
{
	char data_key[64];
	const char *s;
	size_t len;
	int r;

	snprintf(data_key, sizeof(data_key), "%s-data", key);
	r = get_text(map, data_key, &s, e);
	if (r)
		return r;
	if (!s)
		return copy_path(map, key, ret_file, e);
	r = pp_base64_decode(s, ret_data, &len);
	if (r == -EINVAL)
		return blame(get(map, data_key), e, "%s: not base64", data_key);
	if (r)
		return r;
	if (strlen(*ret_data) != len || !strstr(*ret_data, "-----BEGIN "))
		return blame(get(map, data_key), e, "%s: base64, but not of PEM", data_key);
	return 0;
}

static int get_bool(struct place map, const char *key, bool *ret, struct pp_err *e)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
	const char *s;
	int r = get_text(map, key, &s, e);

	if (r || !s)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(s, words[i]) == 0) {
			*ret = i % 2;
			return 0;
		}
	return blame(get(map, key), e, "%s: expected true or false", key);
}

static void describe_parser(const yaml_parser_t *p, const char *file, struct pp_err *e)
{
	const char *problem = p->problem ?: "out of memory";

	if (p->error == YAML_READER_ERROR) /* it has no line */
		pp_err_set(e, 0, "%s: not YAML: %s at byte %zu", file, problem, p->problem_offset);
	else
		pp_err_set(e, 0, "%s:%zu: not YAML: %s", file, p->problem_mark.line + 1, problem);
}

int pp_kubeconfig_add(struct pp_kubeconfig *k, const char *file, const char *text, size_t len,
		      struct pp_err *e)
{
	_cleanup_(free_filep) struct file *f = calloc(1, sizeof(*f));
	struct file **last = &k->files;
	struct place root = { f, NULL };
	yaml_parser_t parser;
	const char *kind;
	int r;

	if (!f || !(f->name = strdup(file)) || !yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &f->doc)) {
		describe_parser(&parser, file, e);
		yaml_parser_delete(&parser);
		return -EINVAL;
	}
	yaml_parser_delete(&parser);
	root.node = yaml_document_get_root_node(&f->doc);
	if (!is_null(root.node) && root.node->type != YAML_MAPPING_NODE)
		return blame(root, e, "not a kubeconfig: expected clusters, users and contexts");
	r = get_text(root, "kind", &kind, e);
	if (r)
		return r;
	if (kind && strcmp(kind, "Config") != 0)
		return blame(get(root, "kind"), e, "kind: expected Config");
	while (*last)
		last = &(*last)->next;
	*last = TAKE_PTR(f);
	return 0;
}

/* What a list says about name: in "clusters", the "cluster" of the entry of that name. */
static int find(const struct pp_kubeconfig *k, const char *kind, const char *name,
		struct place *ret, struct pp_err *e)
{
	char plural[16];

	snprintf(plural, sizeof(plural), "%ss", kind);
	for (struct file *f = k->files; f; f = f->next) {
		struct place root = { f, yaml_document_get_root_node(&f->doc) };
		struct place list = get(root, plural);

		if (!list.node)
			continue;
		if (list.node->type != YAML_SEQUENCE_NODE)
			return blame(list, e, "%s: expected a list", plural);
		for (yaml_node_item_t *i = list.node->data.sequence.items.start;
		     i < list.node->data.sequence.items.top; i++) {
			struct place entry = { f, yaml_document_get_node(&f->doc, *i) };
			const char *its_name;
			int r = get_text(entry, "name", &its_name, e);

			if (r)
				return r;
			if (!its_name || strcmp(its_name, name) != 0)
				continue;
			*ret = get(entry, kind);
			if (ret->node && ret->node->type != YAML_MAPPING_NODE)
				return blame(*ret, e, "%s \"%s\": expected a mapping", kind, name);
			if (!ret->node && strcmp(kind, "user") != 0)
				return blame(entry, e, "%s \"%s\": is empty", kind, name);
			return 0;
		}
	}
	return -ENOENT;
}

static int read_server(struct place cluster, char **ret, struct pp_err *e)
{
	struct place v = get(cluster, "server");
	const char *s;
	size_t len;
	int r = get_text(cluster, "server", &s, e);

	if (r)
		return r;
	if (!s)
		return blame(v.node ? v : cluster, e, "the cluster has no server");
	len = strlen(s);
	if ((strncmp(s, "https://", 8) != 0 && strncmp(s, "http://", 7) != 0) ||
	    strchr("/?#", strstr(s, "://")[3]))
		return blame(v, e, "server: expected a URL (https://10.0.0.1:6443)");
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] > '~' || strchr("?#@", s[i]))
			return blame(v, e, "server: a URL with a space, or with ?, # or @");
	while (s[len - 1] == '/')
		len--;
	*ret = strndup(s, len);
	return *ret ? 0 : -ENOMEM;
}

static int read_cluster(struct place cluster, struct pp_kube_config *c, struct pp_err *e)
{
	int r = read_server(cluster, &c->server, e);

	if (!r)
		r = copy_text(cluster, "tls-server-name", &c->server_name, e);
	if (!r)
		r = copy_text(cluster, "proxy-url", &c->proxy, e);
	if (!r)
		r = get_bool(cluster, "insecure-skip-tls-verify", &c->insecure, e);
	if (!r)
		r = copy_pem(cluster, "certificate-authority", &c->ca_file, &c->ca_data, e);
	return r;
}

/* What we would have to do for a user and do not; silence would be another identity. */
static int refuse(struct place user, const char *name, struct pp_err *e)
{
	static const char *const keys[] = { "as",	   "as-uid", "as-groups",
					    "as-user-extra", "exec",   "auth-provider" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct place v = get(user, keys[i]);

		if (v.node) {
			blame(v, e,
			      "user \"%s\": %s is not supported; valid are a token, a tokenFile, a client "
			      "certificate, or username and password",
			      name, keys[i]);
			return -EOPNOTSUPP;
		}
	}
	return 0;
}

static int read_user(struct place user, const char *name, struct pp_kube_config *c,
		     struct pp_err *e)
{
	int r = refuse(user, name, e);

	if (!r)
		r = copy_pem(user, "client-certificate", &c->cert_file, &c->cert_data, e);
	if (!r)
		r = copy_pem(user, "client-key", &c->key_file, &c->key_data, e);
	if (!r)
		r = copy_path(user, "tokenFile", &c->token_file, e);
	if (!r)
		r = copy_text(user, "token", &c->token, e);
	if (!r)
		r = copy_text(user, "username", &c->username, e);
	if (!r)
		r = copy_text(user, "password", &c->password, e);
	if (!r && (!c->cert_file && !c->cert_data) != (!c->key_file && !c->key_data))
		r = blame(user, e, "user \"%s\": client-certificate and client-key go together",
			  name);
	return r;
}

/* The first current-context that is set. */
static int choose(const struct pp_kubeconfig *k, const char **ret, struct pp_err *e)
{
	for (struct file *f = k->files; f; f = f->next) {
		struct place root = { f, yaml_document_get_root_node(&f->doc) };
		int r = get_text(root, "current-context", ret, e);

		if (r || *ret)
			return r;
	}
	return pp_err_set(e, -ENOENT, "%s: has no current-context",
			  k->files ? k->files->name : "kubeconfig");
}

/* find() for what a context refers to. */
static int follow(const struct pp_kubeconfig *k, struct place context, const char *kind,
		  const char **ret_name, struct place *ret, struct pp_err *e)
{
	int r = get_text(context, kind, ret_name, e);

	if (r)
		return r;
	if (!*ret_name)
		return blame(context, e, "the context has no %s", kind);
	r = find(k, kind, *ret_name, ret, e);
	if (r != -ENOENT)
		return r;
	blame(get(context, kind), e, "%s \"%s\": there is none of this name", kind, *ret_name);
	return r;
}

int pp_kubeconfig_resolve(const struct pp_kubeconfig *k, const char *context,
			  struct pp_kube_config *ret, struct pp_err *e)
{
	_cleanup_(pp_kube_config_close) struct pp_kube_config c = {};
	struct place at, cluster, user;
	const char *name;
	int r = 0;

	if (!context)
		r = choose(k, &context, e);
	if (r)
		return r;
	r = find(k, "context", context, &at, e);
	if (r == -ENOENT)
		return pp_err_set(e, r, "%s%s: no context \"%s\"",
				  k->files ? k->files->name : "kubeconfig",
				  k->files && k->files->next ? " and others" : "", context);
	if (!r)
		r = copy_text(at, "namespace", &c.namespace, e);
	if (!r)
		r = follow(k, at, "cluster", &name, &cluster, e);
	if (!r)
		r = read_cluster(cluster, &c, e);
	if (!r)
		r = follow(k, at, "user", &name, &user, e);
	if (!r)
		r = read_user(user, name, &c, e);
	if (r)
		return r;
	*ret = c;
	c = (struct pp_kube_config){};
	return 0;
}
