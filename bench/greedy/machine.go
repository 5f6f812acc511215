package greedy

import (
	"fmt"
	"os"

	"github.com/pontoon-kv/pontoon/bench/proc"
)

// Machine is what the machine did beside greedy clients. Where it was full, what
// bystanders waited for may have been its cores, and not the nodes.
type Machine struct {
	Idle        float64 `json:"idle_share"`
	ClientCores float64 `json:"client_cores"` // of this process: bystanders and greedy clients
}

func (m Machine) String() string {
	return fmt.Sprintf("%.0f%% idle, the clients took %.2f cores", m.Idle*100, m.ClientCores)
}

// machineNow reads the counters; since says what they counted from then on.
type machineNow struct {
	self    proc.Process
	machine proc.Machine
}

func readMachine() (m machineNow, err error) {
	if m.self, err = proc.Read(os.Getpid()); err != nil {
		return m, err
	}
	m.machine, err = proc.ReadMachine()
	return m, err
}

func (m machineNow) since(begin machineNow, seconds float64) (used Machine) {
	used.ClientCores = (m.self.CPU - begin.self.CPU).Seconds() / seconds
	if total := m.machine.Total - begin.machine.Total; total > 0 {
		used.Idle = float64(m.machine.Idle-begin.machine.Idle) / float64(total)
	}
	return used
}
