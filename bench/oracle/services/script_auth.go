package services

import "fmt"

func grant(role, kind, from, to string) string {
	return fmt.Sprintf(`{"name":"%s","perm":{"permType":"%s","key":"%s","range_end":"%s"}}`, role, kind, b(from), b(to))
}

func users() []Step {
	return []Step{
		post("auth is off", "/v3/auth/status", `{}`),
		post("enable without root", "/v3/auth/enable", `{}`),
		post("authenticate while off", "/v3/auth/authenticate", `{"name":"root","password":"pw"}`),
		post("disable while off", "/v3/auth/disable", `{}`),
		post("add root", "/v3/auth/user/add", `{"name":"root","password":"pw"}`),
		post("add root twice", "/v3/auth/user/add", `{"name":"root","password":"pw"}`),
		post("add nobody", "/v3/auth/user/add", `{"name":"","password":"pw"}`),
		post("add without password", "/v3/auth/user/add", `{"name":"cert","options":{"no_password":true}}`),
		post("enable without the role", "/v3/auth/enable", `{}`),
		post("grant a role that is not there", "/v3/auth/user/grant", `{"user":"root","role":"none"}`),
		post("grant root", "/v3/auth/user/grant", `{"user":"root","role":"root"}`),
		post("grant to nobody", "/v3/auth/user/grant", `{"user":"none","role":"root"}`),
		post("add role", "/v3/auth/role/add", `{"name":"r"}`),
		post("add role twice", "/v3/auth/role/add", `{"name":"r"}`),
		post("add role without name", "/v3/auth/role/add", `{}`),
		post("grant a span", "/v3/auth/role/grant", grant("r", "READ", "a", "c")),
		post("grant a span again", "/v3/auth/role/grant", grant("r", "READWRITE", "a", "c")),
		post("grant a key", "/v3/auth/role/grant", fmt.Sprintf(`{"name":"r","perm":{"permType":"WRITE","key":"%s"}}`, b("w"))),
		post("grant an inverted span", "/v3/auth/role/grant", grant("r", "READ", "c", "a")),
		post("grant nothing", "/v3/auth/role/grant", `{"name":"r"}`),
		post("grant to no role", "/v3/auth/role/grant", grant("none", "READ", "a", "c")),
		post("role", "/v3/auth/role/get", `{"role":"r"}`),
		post("no role", "/v3/auth/role/get", `{"role":"none"}`),
		post("root's role", "/v3/auth/role/get", `{"role":"root"}`),
		post("revoke what is not granted", "/v3/auth/role/revoke", fmt.Sprintf(`{"role":"r","key":"%s"}`, b("q"))),
		post("add user", "/v3/auth/user/add", `{"name":"u","password":"pw"}`),
		post("grant to the user", "/v3/auth/user/grant", `{"user":"u","role":"r"}`),
		post("grant twice", "/v3/auth/user/grant", `{"user":"u","role":"r"}`),
		post("user", "/v3/auth/user/get", `{"name":"u"}`),
		post("no user", "/v3/auth/user/get", `{"name":"none"}`),
		post("users", "/v3/auth/user/list", `{}`),
		post("roles", "/v3/auth/role/list", `{}`),
		post("password of nobody", "/v3/auth/user/changepw", `{"name":"none","password":"x"}`),
		post("revoke a role not held", "/v3/auth/user/revoke", `{"name":"cert","role":"r"}`),
		post("delete nobody", "/v3/auth/user/delete", `{"name":"none"}`),
		post("delete no role", "/v3/auth/role/delete", `{"role":"none"}`),
		post("enable", "/v3/auth/enable", `{}`),
		post("enable twice", "/v3/auth/enable", `{}`),
		post("auth is on", "/v3/auth/status", `{}`),
	}
}

// as sends a step with a saved token.
func as(user string, st Step) Step { st.As = user; return st }

func login(user, password string) Step {
	return Step{Name: "log in " + user, Path: "/v3/auth/authenticate", Save: user, Field: "token",
		Body: fmt.Sprintf(`{"name":"%s","password":"%s"}`, user, password)}
}

func enabled() []Step {
	steps := []Step{
		post("wrong password", "/v3/auth/authenticate", `{"name":"u","password":"no"}`),
		post("unknown user", "/v3/auth/authenticate", `{"name":"none","password":"no"}`),
		post("user without password", "/v3/auth/authenticate", `{"name":"cert","password":""}`),
		login("root", "pw"), login("u", "pw"),
	}
	for _, st := range []Step{
		post("get", "/v3/kv/range", key("a")),
		post("get outside", "/v3/kv/range", key("d")),
		post("span over the edge", "/v3/kv/range", span("a", "d")),
		post("put", "/v3/kv/put", put("b", "x")),
		post("put to a key that may be written", "/v3/kv/put", put("w", "x")),
		post("put that reads it", "/v3/kv/put", fmt.Sprintf(`{"key":"%s","prev_kv":true}`, b("w"))),
		post("put outside", "/v3/kv/put", put("d", "x")),
		post("delete outside", "/v3/kv/deleterange", span("a", "d")),
		post("txn of which a branch is outside", "/v3/kv/txn", fmt.Sprintf(`{"success":[{"request_range":{"key":"%s"}}],"failure":[{"request_put":{"key":"%s"}}]}`, b("a"), b("d"))),
		post("compaction", "/v3/kv/compaction", `{"revision":"4"}`),
		post("grant a lease", "/v3/lease/grant", `{"TTL":"600","ID":"90"}`),
		post("revoke the lease", "/v3/lease/revoke", `{"ID":"90"}`),
		post("own user", "/v3/auth/user/get", `{"name":"u"}`),
		post("another user", "/v3/auth/user/get", `{"name":"root"}`),
		post("own role", "/v3/auth/role/get", `{"role":"r"}`),
		post("users", "/v3/auth/user/list", `{}`),
		post("roles", "/v3/auth/role/list", `{}`),
		post("add a user", "/v3/auth/user/add", `{"name":"v","password":"pw"}`),
		post("delete that user", "/v3/auth/user/delete", `{"name":"v"}`),
		post("lock outside", "/v3/lock/lock", fmt.Sprintf(`{"name":"%s","lease":"80"}`, b("zz"))),
		post("unlock outside", "/v3/lock/unlock", key("zz/50")),
		post("status", "/v3/auth/status", `{}`),
	} {
		for _, who := range []string{"", "u", "root"} {
			st.Name = who + ": " + st.Name
			steps = append(steps, as(who, st))
		}
	}
	return append(steps,
		as("root", post("delete root", "/v3/auth/user/delete", `{"name":"root"}`)),
		as("root", post("delete root's role", "/v3/auth/role/delete", `{"role":"root"}`)),
		as("root", post("revoke root from root", "/v3/auth/user/revoke", `{"name":"root","role":"root"}`)),
		as("root", post("revoke the span", "/v3/auth/role/revoke", fmt.Sprintf(`{"role":"r","key":"%s","range_end":"%s"}`, b("a"), b("c")))),
		as("u", post("get what was revoked", "/v3/kv/range", key("a"))),
		as("root", post("new password", "/v3/auth/user/changepw", `{"name":"u","password":"new"}`)),
		as("u", post("token of the old password", "/v3/kv/put", put("w", "y"))),
		login("u", "new"),
		as("u", post("token of the new password", "/v3/kv/put", put("w", "y"))),
		as("root", post("delete the role", "/v3/auth/role/delete", `{"role":"r"}`)),
		as("u", post("without the role", "/v3/kv/put", put("w", "z"))),
		as("root", post("delete the user", "/v3/auth/user/delete", `{"name":"u"}`)),
		as("u", post("after the user is gone", "/v3/kv/put", put("w", "z"))),
	)
}

func disabled() []Step {
	return []Step{
		post("nobody disables", "/v3/auth/disable", `{}`),
		as("root", post("disable", "/v3/auth/disable", `{}`)),
		post("off again", "/v3/auth/status", `{}`),
		post("put without token", "/v3/kv/put", put("d", "x")),
		as("root", post("put with an old token", "/v3/kv/put", put("d", "y"))),
	}
}
