package limits

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/filler"
	"github.com/pontoon-kv/pontoon/bench/proc"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// Echo is a cell of the echo server.
type Echo struct {
	Clients int `json:"clients"`
	stat.Summary
	CPUMicros float64 `json:"cpu_us_per_op"` // of the server
}

// startEcho starts the server and returns its address and process.
func (o *Options) startEcho(ctx context.Context) (address string, pid int, stop func() error, err error) {
	cmd := exec.CommandContext(ctx, o.Binary, "bench", "echo-server")
	in, err := cmd.StdinPipe() // its end ends the server
	if err != nil {
		return "", 0, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", 0, nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", 0, nil, err
	}
	stop = func() error {
		closed := in.Close()
		return errors.Join(closed, cmd.Wait())
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", 0, nil, errors.Join(fmt.Errorf("echo server: %w", err), stop())
	}
	return strings.TrimSpace(line), cmd.Process.Pid, stop, nil
}

// echo measures one cell of closed-loop clients.
func (o *Options) echo(ctx context.Context, pool *dial.Pool, pid, clients int) (Echo, error) {
	const requestLimit = 10 * time.Second
	value := filler.Text(o.ValueSize)
	began := time.Now()
	from, to := began.Add(o.Warmup), began.Add(o.Warmup+o.Cell)
	histograms := make([]stat.Histogram, clients)
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range clients {
		c, rng := pool.Client(i), rand.New(rand.NewPCG(1, uint64(i)))
		wg.Go(func() {
			for ctx.Err() == nil && failed.Load() == nil {
				start := time.Now()
				if start.After(to) {
					return
				}
				one, cancel := context.WithTimeout(ctx, requestLimit)
				_, err := c.Put(one, fmt.Sprintf("limits/%08d", rng.IntN(4096)), value)
				cancel()
				switch end := time.Now(); {
				case err != nil:
					failed.CompareAndSwap(nil, &err)
				case end.After(from) && end.Before(to):
					histograms[i].Record(end.Sub(start))
				}
			}
		})
	}
	before, err1 := readAt(ctx, from, pid)
	after, err2 := readAt(ctx, to, pid)
	wg.Wait()
	if failed.Load() != nil { // I2
		return Echo{}, fmt.Errorf("echo, %d clients: %w", clients, *failed.Load())
	}
	if err := errors.Join(err1, err2); err != nil {
		return Echo{}, err
	}
	var all stat.Histogram
	for i := range histograms {
		all.Merge(&histograms[i])
	}
	cell := Echo{Clients: clients, Summary: all.Summarize(o.Cell)}
	if all.Count() > 0 {
		cell.CPUMicros = float64((after.CPU - before.CPU).Microseconds()) / float64(all.Count())
	}
	return cell, nil
}

// readAt reads what a process has used at some time.
func readAt(ctx context.Context, when time.Time, pid int) (proc.Process, error) {
	select {
	case <-time.After(time.Until(when)):
		return proc.Read(pid)
	case <-ctx.Done():
		return proc.Process{}, ctx.Err()
	}
}
