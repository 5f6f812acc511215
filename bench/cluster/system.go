package cluster

import (
	"fmt"
	"os"
)

// System is a program to measure and how to start its nodes.
type System struct {
	Kind   Kind
	Binary string
	Args   []string // further arguments of every node
}

// Validate looks for the binary: better before minutes of another system.
func (s System) Validate() error {
	if _, err := os.Stat(s.Binary); err != nil {
		return fmt.Errorf("%s binary: %w", s.Kind, err)
	}
	return nil
}
