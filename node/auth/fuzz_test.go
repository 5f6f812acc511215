package auth

import (
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	"google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// FuzzRecords reads what may be any record of users and roles.
func FuzzRecords(f *testing.F) {
	user, err := proto.Marshal(&authpb.User{Name: []byte("u"), Password: []byte("p"), Roles: []string{"r"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(keys.AuthUser("u"), user)
	f.Add(keys.AuthRole("r"), []byte{})
	f.Add(keys.AuthRevision, []byte("12345678"))
	f.Fuzz(func(_ *testing.T, key, value []byte) {
		r := &records{state: newState()}
		r.add(&pontoonpb.SysRecord{Key: key, Value: value})
	})
}

// FuzzToken shows what may be any token: only what was signed is good.
func FuzzToken(f *testing.F) {
	secret, u, now := []byte("secret"), &authpb.User{Name: []byte("u"), Password: []byte("p")}, time.Unix(1000, 0)
	good := signToken(secret, u, now.Add(time.Hour))
	f.Add(good)
	f.Add(good[:len(good)-2])
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		name, ok := checkToken(secret, func(string) *authpb.User { return u }, token, newRenewals(time.Hour), now)
		if ok && token != good {
			t.Fatalf("%q is a token of %q", token, name)
		}
	})
}
