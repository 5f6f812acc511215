package auth

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/server/v3/auth"
	"google.golang.org/protobuf/proto"
)

// state is what etcd's auth store keeps.
type state struct {
	enabled  bool
	revision uint64 // +1 at every change, as clients see it
	users    map[string]*authpb.User
	roles    map[string]*authpb.Role
}

func newState() state {
	return state{users: map[string]*authpb.User{}, roles: map[string]*authpb.Role{}}
}

func (s state) clone() state {
	s.users, s.roles = maps.Clone(s.users), maps.Clone(s.roles)
	return s
}

// memory is a state as the backend of etcd's auth store. Users and roles go in
// and out as copies, since the store changes what it is given.
type memory struct {
	sync.RWMutex
	state
}

var _ auth.AuthBackend = (*memory)(nil)

func (m *memory) CreateAuthBuckets()        {}
func (m *memory) ForceCommit()              {}
func (m *memory) ReadTx() auth.AuthReadTx   { return m }
func (m *memory) BatchTx() auth.AuthBatchTx { return m }

func (m *memory) UnsafeReadAuthEnabled() bool    { return m.enabled }
func (m *memory) UnsafeReadAuthRevision() uint64 { return m.revision }

func (m *memory) UnsafeGetUser(name string) *authpb.User { return clone(m.users[name]) }
func (m *memory) UnsafeGetRole(name string) *authpb.Role { return clone(m.roles[name]) }

func (m *memory) UnsafeGetAllUsers() []*authpb.User {
	return sorted(m.users, func(u *authpb.User) string { return string(u.Name) })
}

func (m *memory) UnsafeGetAllRoles() []*authpb.Role {
	return sorted(m.roles, func(r *authpb.Role) string { return string(r.Name) })
}

func (m *memory) UnsafeSaveAuthEnabled(enabled bool) { m.enabled = enabled }
func (m *memory) UnsafeSaveAuthRevision(rev uint64)  { m.revision = rev }
func (m *memory) UnsafePutUser(u *authpb.User)       { m.users[string(u.Name)] = clone(u) }
func (m *memory) UnsafeDeleteUser(name string)       { delete(m.users, name) }
func (m *memory) UnsafePutRole(r *authpb.Role)       { m.roles[string(r.Name)] = clone(r) }
func (m *memory) UnsafeDeleteRole(name string)       { delete(m.roles, name) }

func (m *memory) GetUser(name string) *authpb.User {
	m.RLock()
	defer m.RUnlock()
	return m.UnsafeGetUser(name)
}

func (m *memory) GetRole(name string) *authpb.Role {
	m.RLock()
	defer m.RUnlock()
	return m.UnsafeGetRole(name)
}

func (m *memory) GetAllUsers() []*authpb.User {
	m.RLock()
	defer m.RUnlock()
	return m.UnsafeGetAllUsers()
}

func (m *memory) GetAllRoles() []*authpb.Role {
	m.RLock()
	defer m.RUnlock()
	return m.UnsafeGetAllRoles()
}

func clone[M interface {
	comparable
	proto.Message
}](m M) M {
	var none M
	if m == none {
		return none
	}
	return proto.CloneOf(m)
}

func sorted[M interface {
	comparable
	proto.Message
}](all map[string]M, name func(M) string) []M {
	list := make([]M, 0, len(all))
	for _, m := range all {
		list = append(list, clone(m))
	}
	slices.SortFunc(list, func(a, b M) int { return cmp.Compare(name(a), name(b)) })
	return list
}
