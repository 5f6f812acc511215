package storage

import (
	"encoding/binary"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Version is one version of a user key.
type Version struct {
	Key            []byte // internal key
	ModRevision    proto.Revision
	Sub            int64 // position within the revision (P17), at most enginekey.MaxSub
	CreateRevision proto.Revision
	Version        int64
	Lease          proto.LeaseID
	Tombstone      bool   // the key was deleted; fields below Sub are zero
	Value          []byte // nil when only keys were asked for
}

// KeyValue returns the version as etcd shows it: user key, shared bytes.
func (v Version) KeyValue() *mvccpb.KeyValue {
	k, _ := keys.UserKey(v.Key)
	return &mvccpb.KeyValue{
		Key: k, Value: v.Value, Version: v.Version, Lease: int64(v.Lease),
		CreateRevision: int64(v.CreateRevision), ModRevision: int64(v.ModRevision),
	}
}

// The value of a version record:
//
//	+------+-----------------+---------+-------+-------+
//	| kind | create revision | version | lease | value |
//	+------+-----------------+---------+-------+-------+
//	        '- uvarints; a tombstone ends after its kind
//
// Revision and sub are in the engine key.
const (
	kindLive      = 0x01
	kindTombstone = 0x02
)

var errShort = errors.New("record too short")

func appendVersion(dst []byte, v *Version) []byte {
	if v.Tombstone {
		return append(dst, kindTombstone)
	}
	dst = binary.AppendUvarint(append(dst, kindLive), uint64(v.CreateRevision))
	dst = binary.AppendUvarint(dst, uint64(v.Version))
	dst = binary.AppendUvarint(dst, uint64(v.Lease))
	return append(dst, v.Value...)
}

// decodeVersion fills v from a record's value, sharing its bytes. Key,
// revision and sub are in the engine key.
func decodeVersion(v *Version, b []byte) error {
	if len(b) == 0 {
		return errShort
	}
	kind, r := b[0], varints{b: b[1:]}
	switch kind {
	case kindTombstone:
		v.Tombstone, v.CreateRevision, v.Version, v.Lease, v.Value = true, 0, 0, 0, nil
		if len(r.b) != 0 {
			return errors.New("tombstone with a value")
		}
	case kindLive:
		v.Tombstone = false
		v.CreateRevision = proto.Revision(r.uint())
		v.Version = int64(r.uint())
		v.Lease = proto.LeaseID(r.uint())
		v.Value = r.b
	default:
		return errors.New("unknown kind of version")
	}
	return r.err
}

// varints reads a run of varints and remembers the first error.
type varints struct {
	b   []byte
	err error
}

func (r *varints) uint() uint64 {
	n, l := binary.Uvarint(r.b)
	if l <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[l:]
	return n
}

func (r *varints) int() int64 {
	n, l := binary.Varint(r.b)
	if l <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[l:]
	return n
}

func (r *varints) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *varints) fail() {
	if r.err == nil {
		r.err = errShort
	}
	r.b = nil
}

// done returns the first error, or one for bytes left over.
func (r *varints) done() error {
	if r.err == nil && len(r.b) != 0 {
		r.err = errors.New("record too long")
	}
	return r.err
}
