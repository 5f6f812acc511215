package services

import (
	"encoding/base64"
	"fmt"
)

func b(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func put(key, value string) string { return fmt.Sprintf(`{"key":"%s","value":"%s"}`, b(key), b(value)) }
func key(k string) string          { return fmt.Sprintf(`{"key":"%s"}`, b(k)) }
func span(from, to string) string {
	return fmt.Sprintf(`{"key":"%s","range_end":"%s"}`, b(from), b(to))
}

func post(name, path, body string) Step { return Step{Name: name, Path: path, Body: body} }

// Script is all steps, in the order in which they make sense.
func Script() []Step {
	var all []Step
	for _, part := range [][]Step{gateway(), leases(), lock(), election(), users(), enabled(), disabled()} {
		all = append(all, part...)
	}
	return all
}

func gateway() []Step {
	return []Step{
		post("put", "/v3/kv/put", put("a", "1")),
		post("put with previous", "/v3/kv/put", fmt.Sprintf(`{"key":"%s","value":"%s","prev_kv":true}`, b("a"), b("2"))),
		post("camel case", "/v3/kv/put", fmt.Sprintf(`{"key":"%s","value":"%s","prevKv":true}`, b("a"), b("3"))),
		post("unknown field", "/v3/kv/put", fmt.Sprintf(`{"key":"%s","colour":"red"}`, b("b"))),
		post("empty key", "/v3/kv/put", `{}`),
		post("lease that is not there", "/v3/kv/put", fmt.Sprintf(`{"key":"%s","lease":"4711"}`, b("a"))),
		post("value and ignore_value", "/v3/kv/put", fmt.Sprintf(`{"key":"%s","value":"%s","ignore_value":true}`, b("a"), b("x"))),
		post("ignore_value of no key", "/v3/kv/put", fmt.Sprintf(`{"key":"%s","ignore_value":true}`, b("none"))),
		post("range", "/v3/kv/range", span("a", "z")),
		post("count", "/v3/kv/range", fmt.Sprintf(`{"key":"%s","range_end":"%s","count_only":true}`, b("a"), b("z"))),
		post("limit", "/v3/kv/range", fmt.Sprintf(`{"key":"%s","range_end":"%s","limit":"1","sort_order":"DESCEND","sort_target":"MOD"}`, b("a"), b("z"))),
		post("bad enum", "/v3/kv/range", fmt.Sprintf(`{"key":"%s","sort_order":"SIDEWAYS"}`, b("a"))),
		post("future revision", "/v3/kv/range", fmt.Sprintf(`{"key":"%s","revision":"1000"}`, b("a"))),
		post("no JSON", "/v3/kv/range", `{"key":`),
		post("bad base64", "/v3/kv/range", `{"key":"***"}`),
		post("number as text", "/v3/kv/range", fmt.Sprintf(`{"key":"%s","limit":"one"}`, b("a"))),
		{Name: "GET", Method: "GET", Path: "/v3/kv/range"},
		post("no such path", "/v3/kv/nothing", `{}`),
		post("txn", "/v3/kv/txn", fmt.Sprintf(`{"compare":[{"key":"%s","target":"VALUE","result":"EQUAL","value":"%s"}],`+
			`"success":[{"request_put":{"key":"%s","value":"%s"}},{"request_range":{"key":"%s"}}],`+
			`"failure":[{"request_delete_range":{"key":"%s"}}]}`, b("a"), b("3"), b("c"), b("x"), b("c"), b("a"))),
		post("txn puts twice", "/v3/kv/txn", fmt.Sprintf(`{"success":[{"request_put":{"key":"%s"}},{"request_put":{"key":"%s"}}]}`, b("d"), b("d"))),
		post("delete", "/v3/kv/deleterange", fmt.Sprintf(`{"key":"%s","prev_kv":true}`, b("c"))),
		post("delete nothing", "/v3/kv/deleterange", key("c")),
		post("compaction", "/v3/kv/compaction", `{"revision":"3"}`),
		post("compacted", "/v3/kv/compaction", `{"revision":"3"}`),
		post("compaction of the future", "/v3/kv/compaction", `{"revision":"1000"}`),
		post("read below", "/v3/kv/range", fmt.Sprintf(`{"key":"%s","revision":"2"}`, b("a"))),
	}
}

func leases() []Step {
	return []Step{
		post("grant", "/v3/lease/grant", `{"TTL":"600","ID":"77"}`),
		post("grant again", "/v3/lease/grant", `{"TTL":"600","ID":"77"}`),
		post("grant too long", "/v3/lease/grant", `{"TTL":"9000000001","ID":"78"}`),
		post("put with lease", "/v3/kv/put", fmt.Sprintf(`{"key":"%s","lease":"77"}`, b("leased"))),
		post("leases", "/v3/lease/leases", `{}`),
		post("time of no lease", "/v3/lease/timetolive", `{"ID":"4711"}`),
		post("keep alive", "/v3/lease/keepalive", `{"ID":"77"}`),
		post("keep no lease alive", "/v3/lease/keepalive", `{"ID":"4711"}`),
		post("revoke", "/v3/lease/revoke", `{"ID":"77"}`),
		post("revoke again", "/v3/kv/lease/revoke", `{"ID":"77"}`),
		post("its key is gone", "/v3/kv/range", key("leased")),
	}
}

func lock() []Step {
	return []Step{
		post("lease of the lock", "/v3/lease/grant", `{"TTL":"600","ID":"80"}`),
		post("lock", "/v3/lock/lock", fmt.Sprintf(`{"name":"%s","lease":"80"}`, b("mutex"))),
		post("lock again by the owner", "/v3/lock/lock", fmt.Sprintf(`{"name":"%s","lease":"80"}`, b("mutex"))),
		post("lock under no lease", "/v3/lock/lock", fmt.Sprintf(`{"name":"%s","lease":"4711"}`, b("mutex"))),
		post("its key", "/v3/kv/range", span("mutex/", "mutex0")),
		post("unlock", "/v3/lock/unlock", key("mutex/50")),
		post("unlock again", "/v3/lock/unlock", key("mutex/50")),
		post("unlock nothing", "/v3/lock/unlock", `{}`),
	}
}

func election() []Step {
	return []Step{
		post("no leader yet", "/v3/election/leader", fmt.Sprintf(`{"name":"%s"}`, b("zone"))),
		{Name: "campaign", Path: "/v3/election/campaign", Body: fmt.Sprintf(`{"name":"%s","lease":"80","value":"%s"}`, b("zone"), b("me")), Save: "leader", Field: "leader"},
		post("leader", "/v3/election/leader", fmt.Sprintf(`{"name":"%s"}`, b("zone"))),
		post("proclaim", "/v3/election/proclaim", fmt.Sprintf(`{"leader":"$leader","value":"%s"}`, b("still me"))),
		post("leader says so", "/v3/election/leader", fmt.Sprintf(`{"name":"%s"}`, b("zone"))),
		post("proclaim for nobody", "/v3/election/proclaim", fmt.Sprintf(`{"value":"%s"}`, b("x"))),
		post("campaign under no lease", "/v3/election/campaign", fmt.Sprintf(`{"name":"%s","lease":"4711"}`, b("zone"))),
		post("resign", "/v3/election/resign", `{"leader":"$leader"}`),
		post("resign again", "/v3/election/resign", `{"leader":"$leader"}`),
		post("resign for nobody", "/v3/election/resign", `{}`),
		post("nobody leads", "/v3/election/leader", fmt.Sprintf(`{"name":"%s"}`, b("zone"))),
		post("proclaim too late", "/v3/election/proclaim", fmt.Sprintf(`{"leader":"$leader","value":"%s"}`, b("x"))),
	}
}
