// SPDX-License-Identifier: Apache-2.0
// What label selectors select. Built with sanitizers.
#include "base/base.h"
#include "policy/object.h"
#include "tap.h"

static const struct pp_label web[] = { { "app", "web" }, { "track", "stable" }, { "empty", "" } };

static void say(const char *line, void *arg)
{
	(void)arg;
	printf("# %s\n", line);
}

/* A policy with this selector: does it select a pod with the labels above, and one without any? */
static void selects(const char *selector, bool with, bool without)
{
	static const char before[] = "{apiVersion: podpace.io/v1alpha1, kind: BandwidthPolicy, "
				     "metadata: {name: a}, spec: {class: gold, podSelector: ";
	struct pp_objects o = PP_OBJECTS_INIT(o);
	struct pp_values *v = NULL;
	struct pp_err e = { "" };
	char text[500];
	int r;

	snprintf(text, sizeof(text), "%s%s}}", before, selector);
	r = pp_values_parse("test", text, strlen(text), &v, &e);
	ok(!r && !pp_objects_add(&o, v, say, NULL) && o.first && o.first->valid, "%s is valid %s",
	   selector, e.msg);
	if (o.first) {
		ok(pp_selector_matches(&o.first->pods, web, ARRAY_SIZE(web)) == with,
		   "%s selects a pod: %s", selector, with ? "yes" : "no");
		ok(pp_selector_matches(&o.first->pods, NULL, 0) == without,
		   "%s selects a pod without labels: %s", selector, without ? "yes" : "no");
	}
	pp_objects_free(&o);
	pp_values_free(v);
}

/* What the selector of a policy is as text. */
static void reads(const char *selector, const char *want)
{
	static const char before[] = "{apiVersion: podpace.io/v1alpha1, kind: BandwidthPolicy, "
				     "metadata: {name: a}, spec: {class: gold, podSelector: ";
	struct pp_objects o = PP_OBJECTS_INIT(o);
	_cleanup_free_ char *said = NULL;
	struct pp_values *v = NULL;
	struct pp_err e = { "" };
	char text[500];

	snprintf(text, sizeof(text), "%s%s}}", before, selector);
	if (!pp_values_parse("test", text, strlen(text), &v, &e) &&
	    !pp_objects_add(&o, v, say, NULL))
		said = pp_selector_format(&o.first->pods);
	is_str(said, want, "%s is %s", selector, want);
	pp_objects_free(&o);
	pp_values_free(v);
}

int main(void)
{
	const struct pp_selector absent = { 0 };

	ok(!pp_selector_matches(&absent, web, ARRAY_SIZE(web)),
	   "one that is absent selects nothing");
	selects("{}", true, true);
	selects("{matchLabels: {}}", true, true);
	selects("{matchLabels: {app: web}}", true, false);
	selects("{matchLabels: {app: web, track: stable}}", true, false);
	selects("{matchLabels: {app: web, track: canary}}", false, false);
	selects("{matchLabels: {empty: ''}}", true, false);
	selects("{matchExpressions: [{key: app, operator: In, values: [api, web]}]}", true, false);
	selects("{matchExpressions: [{key: app, operator: NotIn, values: [api, web]}]}", false,
		true);
	selects("{matchExpressions: [{key: none, operator: NotIn, values: [api]}]}", true, true);
	selects("{matchExpressions: [{key: app, operator: Exists}]}", true, false);
	selects("{matchExpressions: [{key: app, operator: DoesNotExist}]}", false, true);
	selects("{matchLabels: {app: web}, matchExpressions: [{key: track, operator: NotIn, "
		"values: [canary]}]}",
		true, false);
	reads("{}", "");
	reads("{matchLabels: {b: c, a: d}}", "a=d,b=c");
	reads("{matchLabels: {a: ''}}", "a=");
	reads("{matchExpressions: [{key: a, operator: In, values: [c, b, c]}]}", "a in (b,c)");
	reads("{matchExpressions: [{key: a, operator: In, values: [b, b]}]}", "a=b");
	reads("{matchExpressions: [{key: a, operator: In, values: [b, '']}]}", "a in (,b)");
	reads("{matchExpressions: [{key: a, operator: NotIn, values: [b]}]}", "a!=b");
	reads("{matchExpressions: [{key: a, operator: NotIn, values: [c, b]}]}", "a notin (b,c)");
	reads("{matchExpressions: [{key: x.io/b, operator: Exists}, {key: a, operator: "
	      "DoesNotExist}, {key: x.io/b, operator: Exists}]}",
	      "!a,x.io/b");
	reads("{matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}]}",
	      "a=b");
	return done_testing();
}
