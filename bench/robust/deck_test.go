package robust

import "testing"

// Every kind of fault comes as often as its weight says before any comes again.
func TestDeckLeavesNothingOut(t *testing.T) {
	kinds := faultsOf(ModeAll, true)
	cards := 0
	for _, k := range kinds {
		cards += k.weight
	}
	d := newDeck(kinds, 5)
	for range 2 {
		seen := map[string]int{}
		for range cards {
			seen[d.deal().name]++
		}
		for _, k := range kinds {
			if seen[k.name] != k.weight {
				t.Errorf("%s dealt %d times of %d", k.name, seen[k.name], k.weight)
			}
		}
	}
}
