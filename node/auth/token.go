package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
)

// Simple tokens are etcd's "simple" kind: opaque, short-lived and good at every
// node. etcd spreads each one through its log; here a token proves itself:
//
//	base64( expiry, 8 bytes | user | HMAC-SHA256 of both and of the password record )
//
// keyed with a secret of the root range. A token dies with its time, with its
// user, with the user's password and when auth is disabled, as in etcd; its time
// starts again when it is used, see renewals.

const secretBytes = 32

func newSecret() []byte {
	b := make([]byte, secretBytes)
	rand.Read(b) // never fails
	return b
}

func signToken(secret []byte, u *authpb.User, expiry time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(expiry.UnixNano()))
	b = append(b, u.Name...)
	return base64.RawURLEncoding.EncodeToString(append(b, tokenMAC(secret, u, b)...))
}

func tokenMAC(secret []byte, u *authpb.User, claim []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(claim))))
	mac.Write(claim)
	mac.Write(u.Password)
	return mac.Sum(nil)
}

// checkToken returns the user of a token that is good at now.
func checkToken(secret []byte, users func(string) *authpb.User, token string, used *renewals, now time.Time) (string, bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 8+sha256.Size || len(secret) == 0 {
		return "", false
	}
	claim, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	name := string(claim[8:])
	u := users(name)
	if u == nil || !hmac.Equal(sum, tokenMAC(secret, u, claim)) {
		return "", false
	}
	expiry := time.Unix(0, int64(binary.BigEndian.Uint64(claim)))
	return name, used.use([sha256.Size]byte(sum), expiry, now)
}
