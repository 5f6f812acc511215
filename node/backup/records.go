package backup

import (
	"encoding/binary"
	"errors"

	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/node/etcdfile"
	"github.com/pontoon-kv/pontoon/storage"
)

// encoder turns versions into records of the file's key bucket. The results
// are valid until the next call.
type encoder struct{ key, value []byte }

func (e *encoder) encode(ver *storage.Version) (key, value []byte, err error) {
	e.key = etcdfile.AppendVersionKey(e.key[:0], ver.ModRevision, ver.Sub, ver.Tombstone)
	kv := ver.KeyValue()
	if ver.Tombstone {
		kv.ModRevision = 0 // etcd writes the key alone
	}
	e.value, err = gproto.MarshalOptions{}.MarshalAppend(e.value[:0], kv)
	return e.key, e.value, err
}

// appendRecord appends a record as it is spilled and sent.
func appendRecord(dst, key, value []byte) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

var errRecord = errors.New("backup: records are damaged")

// takeRecord is the inverse of appendRecord; the results share b.
func takeRecord(b []byte) (key, value, rest []byte, err error) {
	if key, b, err = takeBytes(b); err == nil {
		value, b, err = takeBytes(b)
	}
	return key, value, b, err
}

func takeBytes(b []byte) (taken, rest []byte, err error) {
	n, l := binary.Uvarint(b)
	if l <= 0 || n > uint64(len(b)-l) {
		return nil, nil, errRecord
	}
	b = b[l:]
	return b[:n:n], b[n:], nil
}
