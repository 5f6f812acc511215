package roster

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// units of sizes, the largest first; a bare number is bytes.
var units = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
}

// parseBytes reads sizes like 64MiB, 1.5GiB or 4096.
func parseBytes(text string) (int64, bool) {
	unit := int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			text, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	n *= float64(unit)
	if err != nil || !(n >= 0 && n < math.MaxInt64) || n != math.Trunc(n) {
		return 0, false
	}
	return int64(n), true
}

// formatBytes writes a size in the largest unit that divides it.
func formatBytes(n int64) string {
	for _, u := range units {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// parseSeconds reads times like 5m or 1h30m; a bare number is seconds.
func parseSeconds(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	d, err := time.ParseDuration(text)
	if err != nil || d%time.Second != 0 {
		return 0, false
	}
	return int64(d / time.Second), true
}

// formatSeconds writes a time without units that are zero.
func formatSeconds(n int64) string {
	text := (time.Duration(n) * time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
