package etcdfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protowire"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
)

var (
	keyBucket            = []byte("key")
	metaBucket           = []byte("meta")
	leaseBucket          = []byte("lease")
	alarmBucket          = []byte("alarm")
	clusterBucket        = []byte("cluster")
	membersBucket        = []byte("members")
	membersRemovedBucket = []byte("members_removed")
	authBucket           = []byte("auth")
	authUsersBucket      = []byte("authUsers")
	authRolesBucket      = []byte("authRoles")

	buckets = [][]byte{
		keyBucket, metaBucket, leaseBucket, alarmBucket, clusterBucket, membersBucket, membersRemovedBucket,
		authBucket, authUsersBucket, authRolesBucket,
	}
)

var (
	consistentIndexKey  = []byte("consistent_index")
	termKey             = []byte("term")
	confStateKey        = []byte("confState")
	storageVersionKey   = []byte("storageVersion")
	scheduledCompactKey = []byte("scheduledCompactRev")
	finishedCompactKey  = []byte("finishedCompactRev")
	clusterVersionKey   = []byte("clusterVersion")
	authEnabledKey      = []byte("authEnabled")
	authRevisionKey     = []byte("authRevision")
)

// StorageVersion is the schema's version, as etcd 3.7 writes it.
const StorageVersion = "3.7.0"

// A version's key is its revision, '_' and its sub, big endian, then 't' if it
// is a tombstone.
const (
	versionKeyLen = 8 + 1 + 8
	tombstoneMark = 't'
)

// AppendVersionKey appends the key of a version in the key bucket. Keys order
// as (revision, sub).
func AppendVersionKey(dst []byte, rev proto.Revision, sub int64, tombstone bool) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(rev))
	dst = binary.BigEndian.AppendUint64(append(dst, '_'), uint64(sub))
	if tombstone {
		dst = append(dst, tombstoneMark)
	}
	return dst
}

// Version is one change of a key.
type Version struct {
	Revision  proto.Revision
	Sub       int64
	Tombstone bool
	KV        *mvccpb.KeyValue // of a tombstone the key alone
}

func decodeVersion(key, value []byte) (v Version, err error) {
	v.Tombstone = len(key) == versionKeyLen+1 && key[versionKeyLen] == tombstoneMark
	if len(key) != versionKeyLen && !v.Tombstone || key[8] != '_' {
		return v, fmt.Errorf("key %x is no revision", key)
	}
	v.Revision = proto.Revision(binary.BigEndian.Uint64(key))
	v.Sub = int64(binary.BigEndian.Uint64(key[9:]))
	if v.Revision < 0 || v.Sub < 0 {
		return v, fmt.Errorf("key %x is no revision", key)
	}
	v.KV = &mvccpb.KeyValue{}
	if err := gproto.Unmarshal(value, v.KV); err != nil {
		return v, fmt.Errorf("version at revision %d: %w", v.Revision, err)
	}
	return v, nil
}

// Lease is an etcd lease. Remaining is the checkpointed rest of the TTL, 0 for
// all of it; both are seconds.
type Lease struct {
	ID             proto.LeaseID
	TTL, Remaining int64
}

func (l Lease) key() []byte { return binary.BigEndian.AppendUint64(nil, uint64(l.ID)) }

// encode returns etcd's leasepb.Lease.
func (l Lease) encode() []byte {
	var b []byte
	for i, n := range []int64{int64(l.ID), l.TTL, l.Remaining} {
		if n != 0 {
			b = protowire.AppendTag(b, protowire.Number(i+1), protowire.VarintType)
			b = protowire.AppendVarint(b, uint64(n))
		}
	}
	return b
}

func decodeLease(b []byte) (l Lease, err error) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return l, protowire.ParseError(n)
		}
		b = b[n:]
		if typ != protowire.VarintType {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return l, protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		x, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return l, protowire.ParseError(n)
		}
		b = b[n:]
		switch num {
		case 1:
			l.ID = proto.LeaseID(x)
		case 2:
			l.TTL = int64(x)
		case 3:
			l.Remaining = int64(x)
		}
	}
	if l.ID <= 0 {
		return l, errors.New("no id")
	}
	return l, nil
}

// Auth is what there is of authentication. Users and roles are etcd's authpb
// messages by name, password hashes included.
type Auth struct {
	Enabled  bool
	Revision uint64
	Users    map[string][]byte
	Roles    map[string][]byte
}

// Member is a member of the cluster that the backup was taken from; a restore
// forgets it.
type Member struct {
	ID         proto.NodeID `json:"id"`
	PeerURLs   []string     `json:"peerURLs"`
	Learner    bool         `json:"isLearner,omitempty"`
	Name       string       `json:"name,omitempty"`
	ClientURLs []string     `json:"clientURLs,omitempty"`
}

func memberKey(id proto.NodeID) []byte { return strconv.AppendUint(nil, uint64(id), 16) }

// Contents is everything but the versions.
type Contents struct {
	Revision proto.Revision
	Floor    proto.Revision // proto.NeverCompacted if there was no compaction
	Term     proto.Term
	Leases   []Lease
	Auth     Auth
	Members  []Member
	Removed  []proto.NodeID
}
