package keys

import (
	"encoding/hex"
	"strconv"
)

// Text renders an internal key for people: the name of its span at the span's
// start, a user key as a quoted string, a lease by its id.
func Text(key []byte) string {
	switch string(key) {
	case string(MetaSpan.Start):
		return "meta"
	case string(LeaseSpan.Start):
		return "lease"
	case string(UserSpan.Start):
		return "user"
	case string(Max):
		return "end"
	}
	if k, ok := UserKey(key); ok {
		return strconv.Quote(string(k))
	}
	if id, ok := LeaseOf(key); ok {
		return "lease/" + strconv.FormatInt(int64(id), 16)
	}
	return hex.EncodeToString(key)
}
