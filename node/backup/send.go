package backup

import (
	"crypto/sha256"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/node/etcdfile"
)

// sendBytes is how much one message of a backup holds, as in etcd.
const sendBytes = 32 << 10

// send streams the database and behind it its checksum.
func send(out pb.Maintenance_SnapshotServer, size int64, from io.WriterTo) error {
	w := &sender{out: out, left: size}
	h := sha256.New()
	if _, err := from.WriteTo(io.MultiWriter(w, h)); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	return out.Send(&pb.SnapshotResponse{Blob: h.Sum(nil), Version: etcdfile.StorageVersion})
}

// sender cuts a stream into messages of one size.
type sender struct {
	out  pb.Maintenance_SnapshotServer
	left int64
	buf  []byte
}

func (s *sender) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if s.buf == nil {
			s.buf = make([]byte, 0, sendBytes)
		}
		k := min(len(b), sendBytes-len(s.buf))
		s.buf = append(s.buf, b[:k]...)
		if b = b[k:]; len(s.buf) == sendBytes {
			if err := s.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush sends what is there. A message keeps its bytes: they are not used again.
func (s *sender) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	b := s.buf
	s.buf = nil
	s.left -= int64(len(b))
	return s.out.Send(&pb.SnapshotResponse{RemainingBytes: uint64(max(s.left, 0)), Blob: b, Version: etcdfile.StorageVersion})
}
