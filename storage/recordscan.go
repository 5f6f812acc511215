package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Files of records, the write-ahead log and the MANIFEST, are runs of chunks in
// blocks of 32 KiB, which no chunk reaches over:
//
//	+--------+---------+------+---------------+--------------------+---------+
//	| CRC 4B | length 2| type | log number 4B | synced up to 8B    | data    |
//	+--------+---------+------+---------------+--------------------+---------+
//	                   '- 1..4: MANIFEST, ends here; 9..12: write-ahead log -'
//
// The engine takes the first chunk that it does not understand for the end, since
// a crash may tear what was being written. That end is looked at here: it must be
// one that a crash can leave.
const (
	recordBlock = 32 << 10

	manifestHeader = 7
	syncedUpTo     = 11
	walHeader      = 19

	fullChunk     = 1 // first type of the MANIFEST's
	firstChunk    = 2
	lastChunkType = 4
	walChunk      = 9 // first type of the log's
	lastWALType   = 12

	// sector is what a disk writes as a whole.
	sector = 512
)

var errRecordsLost = errors.New("records that were synced are damaged")

// recordFile is the content of one such file.
type recordFile struct {
	b   []byte
	log uint32 // number of the write-ahead log
	wal bool
}

// chunkAt returns where the chunk at i ends; false if there is no whole one whose
// checksum is right.
func (f recordFile) chunkAt(i int) (end int, ok bool) {
	header, low, high := manifestHeader, byte(fullChunk), byte(lastChunkType)
	if f.wal {
		header, low, high = walHeader, walChunk, lastWALType
	}
	limit := min(len(f.b), i-i%recordBlock+recordBlock)
	if i+header > limit {
		return 0, false
	}
	if t := f.b[i+6]; t < low || t > high {
		return 0, false
	}
	if f.wal && binary.LittleEndian.Uint32(f.b[i+7:]) != f.log {
		return 0, false
	}
	end = i + header + int(binary.LittleEndian.Uint16(f.b[i+4:]))
	if end > limit {
		return 0, false
	}
	return end, maskedSum(f.b[i+6:end]) == binary.LittleEndian.Uint32(f.b[i:])
}

// maskedSum is the checksum that the engine puts before bytes.
func maskedSum(b []byte) uint32 {
	sum := crc32.Checksum(b, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// follow returns where the run of good chunks from the start of the file ends.
func (f recordFile) follow() int {
	i := 0
	for i < len(f.b) {
		if end, ok := f.chunkAt(i); ok {
			i = end
			continue
		}
		// What is too short for a header at the end of a block is zeros.
		next := i - i%recordBlock + recordBlock
		if next > len(f.b) || next-i >= walHeader || !zeros(f.b[i:next]) {
			return i
		}
		i = next
	}
	return i
}

// check returns an error unless the file ends as a crash or a clean stop leaves
// it.
func (f recordFile) check() error {
	end := f.follow()
	if end >= len(f.b) {
		return nil
	}
	if at, ok := f.later(end); ok {
		return fmt.Errorf("%w at offset %d: what was written after it, at offset %d, says so", errRecordsLost, end, at)
	}
	if !f.wal && !f.torn(end) {
		return fmt.Errorf("%w at offset %d", errRecordsLost, end)
	}
	return nil
}

// later returns the first good chunk after end that proves that what is at end
// was durable: a chunk of the log tells up to where the log was synced, and the
// MANIFEST is synced before a record is added to it.
func (f recordFile) later(end int) (at int, ok bool) {
	for i := end + 1; i < len(f.b); i++ {
		if _, ok := f.chunkAt(i); !ok {
			continue
		}
		if f.wal && binary.LittleEndian.Uint64(f.b[i+syncedUpTo:]) > uint64(end) {
			return i, true
		}
		if t := f.b[i+6]; !f.wal && (t == fullChunk || t == firstChunk) {
			return i, true
		}
	}
	return 0, false
}

// torn reports whether a write of the last record that was cut off explains what
// is at end: it is short, or a sector of it was never written.
func (f recordFile) torn(end int) bool {
	if end+manifestHeader > len(f.b) {
		return true
	}
	limit := end - end%recordBlock + recordBlock
	if n := end + manifestHeader + int(binary.LittleEndian.Uint16(f.b[end+4:])); n > len(f.b) && n <= limit {
		return true
	}
	for from := end; from < len(f.b); {
		to := min(from-from%sector+sector, len(f.b))
		if zeros(f.b[from:to]) {
			return true
		}
		from = to
	}
	return false
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func crc32c(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
