package disk

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// blockSize is what is kept or lost as one: a page.
const blockSize = 4096

type block [blockSize]byte

// file is a file's content: as it is read, and as the disk has it.
type file struct {
	ino      uint64
	mode     uint32
	links    uint32
	modified time.Time

	size   int64
	blocks map[int64]*block // by number; one that is missing is zeros

	onDisk int64            // size as of the last sync
	before map[int64]*block // blocks of the last sync in place of those written since; nil: none
}

func newFile(ino uint64, mode uint32) *file {
	return &file{ino: ino, mode: mode, modified: time.Now(), blocks: map[int64]*block{}, before: map[int64]*block{}}
}

// readAt returns how much of p there was to read.
func (f *file) readAt(p []byte, at int64) int {
	n := int(min(int64(len(p)), max(0, f.size-at)))
	for done := 0; done < n; {
		number, offset := (at+int64(done))/blockSize, (at+int64(done))%blockSize
		part := p[done:min(n, done+int(blockSize-offset))]
		if b := f.blocks[number]; b != nil {
			copy(part, b[offset:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	return n
}

func (f *file) writeAt(p []byte, at int64) {
	for done := 0; done < len(p); {
		number, offset := (at+int64(done))/blockSize, (at+int64(done))%blockSize
		done += copy(f.own(number)[offset:], p[done:])
	}
	f.size = max(f.size, at+int64(len(p)))
	f.modified = time.Now()
}

// own returns a block to write to; the one on the disk stays what it is.
func (f *file) own(number int64) *block {
	b := f.blocks[number]
	if _, written := f.before[number]; written && b != nil {
		return b
	}
	fresh := new(block)
	if b != nil {
		*fresh = *b
	}
	if _, written := f.before[number]; !written {
		f.before[number] = b
	}
	f.blocks[number] = fresh
	return fresh
}

// truncate changes the size, on the disk too.
func (f *file) truncate(size int64) {
	if size < f.size {
		beyond := func(number int64, _ *block) bool { return number*blockSize >= size }
		maps.DeleteFunc(f.blocks, beyond)
		maps.DeleteFunc(f.before, beyond)
		last := size / blockSize
		cutOff(f.blocks, last, size%blockSize)
		cutOff(f.before, last, size%blockSize)
	}
	f.size, f.onDisk = size, min(f.onDisk, size)
	f.modified = time.Now()
}

// cutOff clears the end of a block, which others may share.
func cutOff(blocks map[int64]*block, number, offset int64) {
	if b := blocks[number]; b != nil {
		fresh := *b
		clear(fresh[offset:])
		blocks[number] = &fresh
	}
}

func (f *file) sync() {
	clear(f.before)
	f.onDisk = f.size
}

// lose is a loss of power. Each block that was not synced stays with a chance of
// kept percent, and so does the size.
func (f *file) lose(rng *rand.Rand, kept int) {
	if len(f.before) == 0 && f.size == f.onDisk {
		return
	}
	for _, number := range slices.Sorted(maps.Keys(f.before)) {
		if rng.IntN(100) < kept {
			continue
		}
		if b := f.before[number]; b != nil {
			f.blocks[number] = b
		} else {
			delete(f.blocks, number)
		}
	}
	if rng.IntN(100) >= kept {
		f.truncate(f.onDisk)
	}
	f.sync()
}

// bytes is what the file takes.
func (f *file) bytes() int64 { return int64(len(f.blocks)) * blockSize }
