package admin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// unit is how a number is written: 256MiB, 5m, 3.
type unit struct {
	parse  func(string) (float64, error)
	format func(float64) string
}

var (
	count     = unit{parseCount, formatPlain}
	plain     = unit{parsePlain, formatPlain}
	seconds   = unit{parseSeconds, formatSeconds}
	bytesUnit = unit{parseBytes, formatBytes}
	boolean   = unit{}
)

func quoted(s string) string { return strconv.Quote(s) }

func parseCount(s string) (float64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errors.New("is not a whole number")
	}
	return float64(n), nil
}

func parsePlain(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errors.New("is not a number")
	}
	return f, nil
}

func formatPlain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// parseSeconds takes 300, 300s, 5m, 1h30m.
func parseSeconds(s string) (float64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return float64(n), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New("is not a time, as 30s or 5m")
	}
	if d%time.Second != 0 {
		return 0, errors.New("is not a whole number of seconds")
	}
	return d.Seconds(), nil
}

func formatSeconds(v float64) string {
	switch n := int64(v); {
	case n%3600 == 0:
		return fmt.Sprintf("%dh", n/3600)
	case n%60 == 0:
		return fmt.Sprintf("%dm", n/60)
	default:
		return fmt.Sprintf("%ds", n)
	}
}

// sizes are the units of bytes, big first; what is not a power of 1024 is
// read, never written.
var sizes = []struct {
	name  string
	bytes float64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

const powers = 4 // of 1024, the first in sizes

// parseBytes takes 1048576, 64MiB, 1.5GiB, 200MB.
func parseBytes(s string) (float64, error) {
	number, factor := s, 1.0
	for _, u := range sizes {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, factor = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, errors.New("is not a size, as 64MiB or 1GiB")
	}
	return float64(int64(f * factor)), nil
}

func formatBytes(v float64) string {
	for _, u := range sizes[:powers] {
		if v >= u.bytes && v == float64(int64(v/u.bytes))*u.bytes {
			return fmt.Sprintf("%d%s", int64(v/u.bytes), u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(v))
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true", "on", "yes":
		return true, nil
	case "false", off, "no":
		return false, nil
	}
	return false, errors.New("is neither true nor false")
}
