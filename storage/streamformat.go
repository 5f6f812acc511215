package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// A raft snapshot's stream is a run of chunks:
//
//	+-----------+-----------+------+---------+
//	| length 4B | CRC-32C 4B| kind | body    |   length and CRC of kind and body
//	+-----------+-----------+------+---------+
//
//	'H' magic, format, descriptor, applied state     once, first
//	'R' key length, key, value length, value, ...    engine records in engine order
//	'E' number of records                            once, last
const (
	streamMagic  = "pontoon-range"
	streamFormat = 1

	chunkHeader  = 'H'
	chunkRecords = 'R'
	chunkEnd     = 'E'

	chunkTarget = 256 << 10
	chunkMax    = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chunkWriter writes chunks.
type chunkWriter struct {
	w     io.Writer
	body  []byte
	bytes int64
}

func (c *chunkWriter) write(kind byte, body []byte) error {
	head := binary.BigEndian.AppendUint32(make([]byte, 0, 9), uint32(len(body)+1))
	crc := crc32.Update(crc32.Checksum([]byte{kind}, castagnoli), castagnoli, body)
	head = append(binary.BigEndian.AppendUint32(head, crc), kind)
	c.bytes += int64(len(head) + len(body))
	if _, err := c.w.Write(head); err != nil {
		return err
	}
	_, err := c.w.Write(body)
	return err
}

func (c *chunkWriter) header(d *pontoonpb.Descriptor, s *AppliedState) error {
	desc, err := d.MarshalVT()
	if err != nil {
		return err
	}
	b := binary.AppendUvarint([]byte(streamMagic), streamFormat)
	b = appendBytes(b, desc)
	return c.write(chunkHeader, appendApplied(b, s))
}

// record adds one record, writing a chunk when it is full.
func (c *chunkWriter) record(key, value []byte) error {
	c.body = appendBytes(appendBytes(c.body, key), value)
	if len(c.body) < chunkTarget {
		return nil
	}
	return c.flush()
}

func (c *chunkWriter) flush() error {
	if len(c.body) == 0 {
		return nil
	}
	err := c.write(chunkRecords, c.body)
	c.body = c.body[:0]
	return err
}

func (c *chunkWriter) end(records int64) error {
	if err := c.flush(); err != nil {
		return err
	}
	return c.write(chunkEnd, binary.AppendUvarint(nil, uint64(records)))
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// chunkReader reads chunks and checks them.
type chunkReader struct {
	r   io.Reader
	buf []byte
}

// next returns the next chunk; its body is valid until the next call.
func (c *chunkReader) next() (kind byte, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, noEOF(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > chunkMax {
		return 0, nil, fmt.Errorf("chunk of %d bytes", n)
	}
	// Grow with what arrives: a length alone allocates nothing.
	buf := bytes.NewBuffer(c.buf[:0])
	if _, err := io.CopyN(buf, c.r, int64(n)); err != nil {
		return 0, nil, noEOF(err)
	}
	c.buf = buf.Bytes()
	if crc32.Checksum(c.buf, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return 0, nil, errors.New("chunk has a wrong checksum")
	}
	return c.buf[0], c.buf[1:], nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func decodeHeader(b []byte) (*pontoonpb.Descriptor, AppliedState, error) {
	if !bytes.HasPrefix(b, []byte(streamMagic)) {
		return nil, AppliedState{}, errors.New("not a range stream")
	}
	r := varints{b: b[len(streamMagic):]}
	if f := r.uint(); r.err == nil && f != streamFormat {
		return nil, AppliedState{}, fmt.Errorf("stream of format %d", f)
	}
	desc := r.bytes()
	if r.err != nil {
		return nil, AppliedState{}, r.err
	}
	d, err := decodeDescriptor(desc)
	if err != nil {
		return nil, AppliedState{}, err
	}
	s, err := decodeApplied(r.b)
	return d, s, err
}

// bytes reads a length and that many bytes, which are shared.
func (r *varints) bytes() []byte {
	n := r.uint()
	if r.err != nil || n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}
