package sidebyside

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// CPU is who used the machine during a cell, as shares of all its cores. What
// others used spoils the cell; the report shows it. All zero where the OS does
// not tell.
type CPU struct {
	Nodes  float64 `json:"nodes"`  // the cluster
	Client float64 `json:"client"` // this process
	Others float64 `json:"others"`
}

// cpuClock reads CPU time in the kernel's ticks, whatever their length: only
// shares are formed.
type cpuClock struct{ total, idle, interrupts, nodes, self float64 }

// readCPU reads the clock for the given node processes.
func readCPU(pids []int) (c cpuClock, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return c, false
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := strings.Fields(string(line))
	// cpu user nice system idle iowait irq softirq steal; guest is in user.
	for i, f := range fields[1:min(len(fields), 9)] {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return c, false
		}
		c.total += v
		switch i {
		case 3, 4:
			c.idle += v
		case 5, 6: // traffic over loopback ends here and belongs to no process
			c.interrupts += v
		}
	}
	if c.self, ok = processTicks(os.Getpid()); !ok {
		return c, false
	}
	for _, pid := range pids {
		v, ok := processTicks(pid)
		if !ok {
			return c, false
		}
		c.nodes += v
	}
	return c, c.total > 0
}

func processTicks(pid int) (float64, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	return parseTicks(string(b))
}

// parseTicks returns user and system time of a line of /proc/<pid>/stat. The
// name, which may hold anything, ends at the last parenthesis.
func parseTicks(stat string) (float64, bool) {
	i := strings.LastIndexByte(stat, ')')
	if i < 0 {
		return 0, false
	}
	fields := strings.Fields(stat[i+1:])
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	return user + system, err1 == nil && err2 == nil
}

// since returns the shares between an earlier reading and this one.
func (c cpuClock) since(begin cpuClock) CPU {
	total := c.total - begin.total
	if total <= 0 {
		return CPU{}
	}
	cpu := CPU{Nodes: (c.nodes - begin.nodes) / total, Client: (c.self - begin.self) / total}
	known := (c.idle - begin.idle + c.interrupts - begin.interrupts) / total
	cpu.Others = max(0, 1-known-cpu.Nodes-cpu.Client)
	return cpu
}
