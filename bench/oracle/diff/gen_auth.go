package diff

import (
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/authpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	rootName = "root"
	rootPass = "pw0" // never changed, so that a run can always go on
	// oldClient is never logged in again by whatever makes its token invalid.
	oldClient = "old"
	authUsers = 3 // beside root
	authRoles = 4 // beside root
)

// who issues the next operation: root most often, or nothing would be stored.
func (g *Generator) who() string {
	switch n := g.rnd.IntN(100); {
	case n < 50:
		return rootName
	case n < 86:
		return g.someUser()
	case n < 91:
		return oldClient
	case n < 94:
		return bogusClient
	}
	return ""
}

func (g *Generator) someUser() string { return fmt.Sprintf("u%d", g.rnd.IntN(authUsers)) }
func (g *Generator) someRole() string { return fmt.Sprintf("r%d", g.rnd.IntN(authRoles)) }
func (g *Generator) password() string { return fmt.Sprintf("pw%d", g.rnd.IntN(2)) }

// user is mostly one of those that come and go, sometimes root, nobody, no name.
func (g *Generator) user() string {
	return g.nameOr(g.someUser(), rootName, "nobody", "")
}

func (g *Generator) role() string {
	return g.nameOr(g.someRole(), rootName, "none", "")
}

func (g *Generator) nameOr(usual string, others ...string) string {
	if g.chance(85) {
		return usual
	}
	return others[g.rnd.IntN(len(others))]
}

// dress gives an operation that was made for a run without auth a client, and
// sometimes the JSON gateway.
func (g *Generator) dress(o Op) Op {
	if g.plan.Auth == 0 {
		return o
	}
	if o.As == "" {
		o.As = g.who()
	}
	// What orders ties is a question of the runs without auth: to ask for everything
	// that was sorted, the runner would have to be allowed to.
	walk(o.Msg.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor, _ protoreflect.Value) {
		if f.Name() == "sort_target" {
			m.Clear(f)
		}
	})
	o.JSON = g.chance(25) && g.fitsJSON(o)
	return o
}

// fitsJSON reports whether an operation can be compared through the JSON gateway: its
// leases have ids that the generator chose, it is not one that may be answered from
// an older state (staleRead looks into messages), and its values are small.
func (g *Generator) fitsJSON(o Op) bool {
	if pathOf(o.Kind) == "" {
		return false
	}
	if grant, ok := o.Msg.(*pb.LeaseGrantRequest); ok && grant.ID == 0 {
		return false
	}
	text := o.String()
	return !strings.Contains(text, bigPrefix[1:]) && !(o.Kind == KindRange && strings.Contains(text, "serializable"))
}

func (g *Generator) login(client, user, password string) Op {
	o := g.op(KindAuthenticate, &pb.AuthenticateRequest{Name: user, Password: password})
	o.As = client
	return o
}

func (g *Generator) rootOp(k Kind, m message) Op {
	o := g.op(k, m)
	o.As = rootName
	return o
}

// authSetup begins with auth enabled and everybody logged in.
func (g *Generator) authSetup() {
	g.queue = append(g.queue,
		g.rootOp("user_add", &pb.AuthUserAddRequest{Name: rootName, Password: rootPass}),
		g.rootOp("role_add", &pb.AuthRoleAddRequest{Name: rootName}),
		g.rootOp("user_grant", &pb.AuthUserGrantRoleRequest{User: rootName, Role: rootName}))
	for i := range authUsers {
		user, role := fmt.Sprintf("u%d", i), fmt.Sprintf("r%d", i)
		g.queue = append(g.queue,
			g.rootOp("user_add", &pb.AuthUserAddRequest{Name: user, Password: rootPass}),
			g.rootOp("role_add", &pb.AuthRoleAddRequest{Name: role}),
			g.rootOp("user_grant", &pb.AuthUserGrantRoleRequest{User: user, Role: role}))
		for range 4 {
			g.queue = append(g.queue, g.rootOp("role_grant", &pb.AuthRoleGrantPermissionRequest{Name: role, Perm: g.permission()}))
		}
	}
	g.queue = append(g.queue, g.rootOp("auth_enable", &pb.AuthEnableRequest{}), g.login(rootName, rootName, rootPass), g.login(oldClient, "u0", rootPass))
	for i := range authUsers {
		user := fmt.Sprintf("u%d", i)
		g.queue = append(g.queue, g.login(user, user, rootPass))
	}
}

// permission is on an interval of any shape: a key, a prefix, open-ended, inverted,
// empty.
func (g *Generator) permission() *authpb.Permission {
	p := &authpb.Permission{PermType: authpb.Permission_Type(g.rnd.IntN(3)), Key: g.someKey()}
	if g.chance(3) {
		p.Key = nil
	}
	p.RangeEnd = g.rangeEnd(p.Key)
	if g.chance(10) {
		p.Key, p.RangeEnd = []byte("k/"), []byte("k0")
	}
	return p
}

// authOps are what changes or shows who may do what.
func (g *Generator) authOps() []weightedOp {
	ops := func(weight int, k Kind, m func() message) weightedOp {
		return weightedOp{weight, func() Op { return g.op(k, m()) }}
	}
	return []weightedOp{
		{16, g.authenticate}, {3, g.reenable}, {3, g.staleUser},
		ops(2, "auth_enable", func() message { return &pb.AuthEnableRequest{} }),
		ops(3, "auth_status", func() message { return &pb.AuthStatusRequest{} }),
		ops(3, "user_add", func() message {
			return &pb.AuthUserAddRequest{Name: g.user(), Password: g.password(), Options: &authpb.UserAddOptions{NoPassword: g.chance(10)}}
		}),
		ops(6, "user_get", func() message { return &pb.AuthUserGetRequest{Name: g.user()} }),
		ops(4, "user_list", func() message { return &pb.AuthUserListRequest{} }),
		ops(2, "user_delete", func() message { return &pb.AuthUserDeleteRequest{Name: g.user()} }),
		ops(3, "user_changepw", func() message {
			return &pb.AuthUserChangePasswordRequest{Name: g.nameOr(g.someUser(), "nobody", ""), Password: g.password()}
		}),
		ops(10, "user_grant", func() message { return &pb.AuthUserGrantRoleRequest{User: g.user(), Role: g.role()} }),
		ops(5, "user_revoke", func() message { return &pb.AuthUserRevokeRoleRequest{Name: g.user(), Role: g.role()} }),
		ops(8, "role_add", func() message { return &pb.AuthRoleAddRequest{Name: g.role()} }),
		ops(6, "role_get", func() message { return &pb.AuthRoleGetRequest{Role: g.role()} }),
		ops(4, "role_list", func() message { return &pb.AuthRoleListRequest{} }),
		ops(2, "role_delete", func() message { return &pb.AuthRoleDeleteRequest{Role: g.role()} }),
		ops(20, "role_grant", func() message {
			return &pb.AuthRoleGrantPermissionRequest{Name: g.role(), Perm: g.permission()}
		}),
		ops(8, "role_revoke", func() message {
			p := g.permission()
			return &pb.AuthRoleRevokePermissionRequest{Role: g.role(), Key: p.Key, RangeEnd: p.RangeEnd}
		}),
	}
}

// authenticate logs somebody in, or does not: the name or the password may be wrong.
func (g *Generator) authenticate() Op {
	user := g.user()
	password := g.password()
	if user == rootName || g.chance(50) {
		password = rootPass
	}
	if g.chance(5) {
		password = ""
	}
	client := user
	if user == "nobody" {
		client = ""
	}
	if client == "" {
		client = oldClient
	}
	return g.login(client, user, password)
}

// reenable disables auth, which ends every token, and enables it again after a while.
func (g *Generator) reenable() Op {
	g.push(g.rootOp("auth_disable", &pb.AuthDisableRequest{}))
	for range g.rnd.IntN(4) {
		g.push(g.put())
		g.push(g.weighted(g.authOps()[3:])) // none that queues others
	}
	g.push(g.rootOp("user_add", &pb.AuthUserAddRequest{Name: rootName, Password: rootPass}))
	g.push(g.rootOp("role_add", &pb.AuthRoleAddRequest{Name: rootName}))
	g.push(g.rootOp("user_grant", &pb.AuthUserGrantRoleRequest{User: rootName, Role: rootName}))
	g.push(g.rootOp("auth_enable", &pb.AuthEnableRequest{}))
	for i := range authUsers {
		user := fmt.Sprintf("u%d", i)
		g.push(g.login(user, user, rootPass))
	}
	return g.login(rootName, rootName, rootPass)
}

// staleUser uses the token of a user that is gone, and then of one that came back.
func (g *Generator) staleUser() Op {
	user := g.someUser()
	as := func(o Op) Op { o.As = user; return o }
	g.push(g.rootOp("user_delete", &pb.AuthUserDeleteRequest{Name: user}))
	g.push(as(g.put()))
	g.push(as(g.ttl()))
	g.push(g.rootOp("user_add", &pb.AuthUserAddRequest{Name: user, Password: rootPass}))
	g.push(as(g.deleteRange()))
	g.push(g.rootOp("user_grant", &pb.AuthUserGrantRoleRequest{User: user, Role: g.someRole()}))
	return g.login(user, user, rootPass)
}
