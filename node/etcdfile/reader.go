package etcdfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"github.com/pontoon-kv/pontoon/proto"
)

// File is a backup that is read. It must be closed.
type File struct {
	db *bbolt.DB
	tx *bbolt.Tx
}

// Open opens a file that Verify accepted. check reads the whole structure
// first: for files whose checksum was not checked.
func Open(path string, check bool) (*File, error) {
	db, err := bbolt.Open(path, 0o400, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("%s is not a backup of etcd or Pontoon: %w", path, err)
	}
	f := &File{db: db}
	if f.tx, err = db.Begin(false); err == nil {
		err = f.whole(path, check)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// whole refuses files that end early, whose pages cannot be read, and
// databases of somebody else.
func (f *File) whole(path string, check bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() < f.tx.Size() {
		return fmt.Errorf("the file ends after %d bytes of %d", info.Size(), f.tx.Size())
	}
	if check {
		var first error
		for err := range f.tx.Check() { // to its end, or its goroutine stays
			if first == nil {
				first = err
			}
		}
		if first != nil {
			return fmt.Errorf("damaged: %w", first)
		}
	}
	for _, name := range [][]byte{keyBucket, metaBucket} {
		if f.tx.Bucket(name) == nil {
			return fmt.Errorf("no backup of etcd or Pontoon: it has no bucket %q", name)
		}
	}
	return nil
}

// Close releases the file.
func (f *File) Close() error {
	if f.tx != nil {
		_ = f.tx.Rollback() // of a read transaction
	}
	return f.db.Close()
}

// Size returns the size of the database, bytes.
func (f *File) Size() int64 { return f.tx.Size() }

// Versions calls fn for every version in (revision, sub) order. Bytes are the
// callee's. Versions of the empty key are marks of a revision, not data (I2),
// and are left out.
func (f *File) Versions(fn func(Version) error) error {
	return f.tx.Bucket(keyBucket).ForEach(func(k, v []byte) error {
		ver, err := decodeVersion(k, v)
		if err != nil || len(ver.KV.Key) == 0 {
			return err
		}
		return fn(ver)
	})
}

// Contents reads all but the versions.
func (f *File) Contents() (*Contents, error) {
	c := &Contents{}
	for _, step := range []func(*Contents) error{f.revisions, f.leases, f.auth} {
		if err := step(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// revisions finds the current revision and the floor as etcd does at a start:
// a compaction that was scheduled goes on, and is never below the revision.
func (f *File) revisions(c *Contents) error {
	c.Revision, c.Floor = proto.FirstRevision, proto.NeverCompacted
	if k, v := f.tx.Bucket(keyBucket).Cursor().Last(); k != nil {
		ver, err := decodeVersion(k, v)
		if err != nil {
			return err
		}
		c.Revision = max(c.Revision, ver.Revision)
	}
	for _, key := range [][]byte{scheduledCompactKey, finishedCompactKey} {
		b := f.tx.Bucket(metaBucket).Get(key)
		if b == nil {
			continue
		}
		if len(b) < versionKeyLen {
			return fmt.Errorf("%s has %d bytes", key, len(b))
		}
		if rev := proto.Revision(binary.BigEndian.Uint64(b)); rev > 0 {
			c.Floor = max(c.Floor, rev)
		}
	}
	c.Revision = max(c.Revision, c.Floor)
	return nil
}

func (f *File) leases(c *Contents) error {
	return f.each(leaseBucket, func(k, v []byte) error {
		l, err := decodeLease(v)
		if err != nil {
			return fmt.Errorf("lease %x: %w", k, err)
		}
		c.Leases = append(c.Leases, l)
		return nil
	})
}

func (f *File) auth(c *Contents) error {
	c.Auth = Auth{Users: map[string][]byte{}, Roles: map[string][]byte{}}
	if b := f.tx.Bucket(authBucket); b != nil {
		enabled := b.Get(authEnabledKey)
		c.Auth.Enabled = len(enabled) == 1 && enabled[0] == 1
		if rev := b.Get(authRevisionKey); len(rev) == 8 {
			c.Auth.Revision = binary.BigEndian.Uint64(rev)
		} else if rev != nil {
			return errors.New("the auth revision is damaged")
		}
	}
	into := func(m map[string][]byte) func(k, v []byte) error {
		return func(k, v []byte) error { m[string(k)] = append([]byte{}, v...); return nil }
	}
	if err := f.each(authUsersBucket, into(c.Auth.Users)); err != nil {
		return err
	}
	return f.each(authRolesBucket, into(c.Auth.Roles))
}

// each walks a bucket that older files may not have.
func (f *File) each(bucket []byte, fn func(k, v []byte) error) error {
	if b := f.tx.Bucket(bucket); b != nil {
		return b.ForEach(fn)
	}
	return nil
}
