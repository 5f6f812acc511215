package etcdfile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"go.etcd.io/bbolt"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
)

// batchBytes is how much one bbolt transaction writes: it is what the writer
// keeps in memory.
const batchBytes = 8 << 20

// Writer writes a new file. It is used by one goroutine and must be closed.
type Writer struct {
	db    *bbolt.DB
	tx    *bbolt.Tx
	keys  *bbolt.Bucket // of tx
	last  []byte
	bytes int // written by tx
}

// Create makes a new file. It is scratch until Close: nothing is synced.
func Create(path string) (*Writer, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		NoSync: true, NoGrowSync: true, FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			return os.OpenFile(name, flag|os.O_EXCL, mode)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("backup file: %w", err)
	}
	w := &Writer{db: db}
	err = w.begin()
	for _, name := range buckets {
		if err == nil {
			_, err = w.tx.CreateBucketIfNotExists(name)
		}
	}
	if err == nil {
		err = w.next()
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("backup file: %w", err)
	}
	return w, nil
}

func (w *Writer) begin() (err error) {
	w.tx, err = w.db.Begin(true)
	w.bytes = 0
	return err
}

// next commits and begins anew.
func (w *Writer) next() error {
	err := w.tx.Commit()
	w.tx = nil
	if err == nil {
		err = w.begin()
	}
	if err == nil {
		w.keys = w.tx.Bucket(keyBucket)
		w.keys.FillPercent = 1 // nothing is ever inserted before the end (I1)
	}
	return err
}

// Version adds a version by its key in the bucket, which must be above the one
// before (I1), and its marshalled KeyValue. Neither is kept.
func (w *Writer) Version(key, value []byte) error {
	if bytes.Compare(key, w.last) <= 0 {
		return fmt.Errorf("backup file: version %x comes after %x", key, w.last)
	}
	w.last = append(w.last[:0], key...)
	if err := w.keys.Put(key, bytes.Clone(value)); err != nil {
		return fmt.Errorf("backup file: %w", err)
	}
	if w.bytes += len(key) + len(value); w.bytes < batchBytes {
		return nil
	}
	return w.next()
}

// Finish writes the rest. Only Read and Close may follow.
func (w *Writer) Finish(c *Contents) error {
	if err := w.markRevision(c.Revision); err != nil {
		return err
	}
	for _, step := range []func(*Contents) error{w.meta, w.leases, w.auth, w.members} {
		if err := step(c); err != nil {
			return fmt.Errorf("backup file: %w", err)
		}
	}
	err := w.tx.Commit()
	w.tx = nil
	if err != nil {
		return fmt.Errorf("backup file: %w", err)
	}
	return nil
}

// markRevision keeps I2.
func (w *Writer) markRevision(rev proto.Revision) error {
	var newest proto.Revision = proto.FirstRevision
	if len(w.last) >= versionKeyLen {
		newest = proto.Revision(binary.BigEndian.Uint64(w.last))
	}
	switch {
	case newest > rev:
		return fmt.Errorf("backup file: version at revision %d in a backup at %d", newest, rev)
	case newest < rev:
		return w.Version(AppendVersionKey(nil, rev, 0, true), nil)
	}
	return nil
}

func (w *Writer) put(bucket, key, value []byte) error { return w.tx.Bucket(bucket).Put(key, value) }

func (w *Writer) meta(c *Contents) error {
	voters := &raftpb.ConfState{}
	for _, m := range c.Members {
		if m.Learner {
			voters.Learners = append(voters.Learners, uint64(m.ID))
		} else {
			voters.Voters = append(voters.Voters, uint64(m.ID))
		}
	}
	conf, err := json.Marshal(raftpb.EnsureConfState(voters))
	if err != nil {
		return err
	}
	// There is no one raft log that the revision came from; a restore begins a
	// new one. What counts is that it is not 0.
	index := binary.BigEndian.AppendUint64(nil, uint64(c.Revision))
	term := binary.BigEndian.AppendUint64(nil, max(uint64(c.Term), 1))
	records := map[string][]byte{
		string(consistentIndexKey): index, string(termKey): term, string(confStateKey): conf,
		string(storageVersionKey): []byte(StorageVersion),
	}
	if c.Floor > 0 {
		floor := AppendVersionKey(nil, c.Floor, 0, false)
		records[string(scheduledCompactKey)], records[string(finishedCompactKey)] = floor, floor
	}
	for key, value := range records {
		if err := w.put(metaBucket, []byte(key), value); err != nil {
			return err
		}
	}
	return w.put(clusterBucket, clusterVersionKey, []byte(StorageVersion))
}

func (w *Writer) leases(c *Contents) error {
	for _, l := range c.Leases {
		if err := w.put(leaseBucket, l.key(), l.encode()); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) auth(c *Contents) error {
	enabled := []byte{0}
	if c.Auth.Enabled {
		enabled[0] = 1
	}
	if err := w.put(authBucket, authEnabledKey, enabled); err != nil {
		return err
	}
	revision := binary.BigEndian.AppendUint64(nil, max(c.Auth.Revision, 1))
	if err := w.put(authBucket, authRevisionKey, revision); err != nil {
		return err
	}
	for name, user := range c.Auth.Users {
		if err := w.put(authUsersBucket, []byte(name), user); err != nil {
			return err
		}
	}
	for name, role := range c.Auth.Roles {
		if err := w.put(authRolesBucket, []byte(name), role); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) members(c *Contents) error {
	for _, m := range c.Members {
		value, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if err := w.put(membersBucket, memberKey(m.ID), value); err != nil {
			return err
		}
	}
	for _, id := range c.Removed {
		if err := w.put(membersRemovedBucket, memberKey(id), []byte("removed")); err != nil {
			return err
		}
	}
	return nil
}

// Read hands fn the bytes of the finished database, without a checksum, and
// their number.
func (w *Writer) Read(fn func(size int64, from io.WriterTo) error) error {
	return w.db.View(func(tx *bbolt.Tx) error { return fn(tx.Size(), tx) })
}

// Close releases the file, finished or not.
func (w *Writer) Close() error {
	if w.tx != nil {
		_ = w.tx.Rollback() // gives up what nobody will read
		w.tx = nil
	}
	return w.db.Close()
}
