package rangeraft

import (
	"math"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.05*math.Abs(want)+1e-9 {
		t.Errorf("%s is %v, want about %v", what, got, want)
	}
}

func TestLoadIsADecayingAverage(t *testing.T) {
	var l load
	at := leaderlease.Nanos(1e9)
	l.restart(keys.UserSpan, at)
	second := leaderlease.Nanos(time.Second)
	for range 60 {
		at += second
		l.writes.Add(100)
		l.reads.Add(10)
		l.writeBytes.Add(1000)
		l.busy.Add(int64(time.Second / 4))
		l.now(keys.UserSpan, at)
	}
	got := l.now(keys.UserSpan, at)
	near(t, "writes", got.WritesPerSecond, 100)
	near(t, "reads", got.ReadsPerSecond, 10)
	near(t, "bytes", got.WriteBytesPerSecond, 1000)
	near(t, "busy", got.Busy, 0.25)
	if read := l.now(keys.UserSpan, at+2*leaderlease.Nanos(loadTau)); read.WritesPerSecond > 15 {
		t.Errorf("half a minute later it still is %v", read.WritesPerSecond)
	}
	if idle := l.now(keys.UserSpan, at+40*leaderlease.Nanos(loadTau)); idle != noLoad {
		t.Errorf("an idle range has load %v", idle)
	}
}

// How often somebody asks must not change what is answered.
func TestLoadDoesNotDependOnHowOftenItIsRead(t *testing.T) {
	var often, seldom load
	at := leaderlease.Nanos(1e9)
	often.restart(keys.UserSpan, at)
	seldom.restart(keys.UserSpan, at)
	for range 3000 {
		at += leaderlease.Nanos(10 * time.Millisecond)
		often.writes.Add(5)
		seldom.writes.Add(5)
		often.now(keys.UserSpan, at)
	}
	near(t, "read at the end", seldom.now(keys.UserSpan, at).WritesPerSecond, often.now(keys.UserSpan, at).WritesPerSecond)
}

func TestABurstAtTheBeginningIsNoHabit(t *testing.T) {
	var l load
	l.restart(keys.UserSpan, 0)
	l.writes.Add(50)
	if got := l.now(keys.UserSpan, leaderlease.Nanos(time.Millisecond)).WritesPerSecond; got > 50 {
		t.Errorf("50 writes in a millisecond are %v per second", got)
	}
}

func TestLoadBeginsAnewWithAnotherSpan(t *testing.T) {
	var l load
	l.restart(keys.UserSpan, 0)
	l.writes.Add(5000)
	l.recent.add(keys.Point(keys.User([]byte("a"))), time.Now())
	half := proto.Span{Start: keys.UserSpan.Start, End: keys.User([]byte("m"))}
	if got := l.now(half, leaderlease.Nanos(10*time.Second)); got != noLoad {
		t.Errorf("after a split the load is %v", got)
	}
	if n := len(l.recent.within(keys.UserSpan)); n != 0 {
		t.Errorf("%d samples remain", n)
	}
}

func TestTicksAloneAreNoLoad(t *testing.T) {
	var l load
	l.restart(keys.UserSpan, 0)
	l.busy.Add(int64(time.Second))
	if got := l.now(keys.UserSpan, leaderlease.Nanos(2*time.Second)); got != noLoad {
		t.Errorf("load without requests is %v", got)
	}
}

// The hot path must not allocate, whatever the sample holds.
func TestCountingDoesNotAllocate(t *testing.T) {
	var l load
	span := keys.Point(keys.User([]byte("registry/pods/default/a-pod")))
	at := time.Now()
	for range 2 * samplePlaces {
		at = at.Add(time.Second)
		l.recent.add(span, at)
	}
	l.recent.next = time.Time{}
	if n := testing.AllocsPerRun(1000, func() {
		l.countWrite(span)
		at = at.Add(time.Second)
		l.recent.add(span, at)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCountWrite(b *testing.B) {
	var l load
	span := keys.Point(keys.User([]byte("registry/pods/default/a-pod")))
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			l.countWrite(span)
		}
	})
}
