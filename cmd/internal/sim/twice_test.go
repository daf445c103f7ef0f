package sim

import (
	"slices"
	"testing"
)

func TestASeedIsOneRun(t *testing.T) {
	differ := 0
	for seed := *first; seed < *first+*seeds; seed++ {
		_, one, _ := run(t, seed, nil, "")
		_, two, _ := run(t, seed, nil, "")
		if slices.Equal(one, two) {
			continue
		}
		differ++
		for i := range one {
			if i >= len(two) || one[i] != two[i] {
				t.Logf("seed %d, line %d of %d: %s | %s", seed, i, len(one), one[i], two[min(i, len(two)-1)])
				for j := max(0, i-6); j < i; j++ {
					t.Logf("      %s", one[j])
				}
				for j := i; j < min(i+4, len(one), len(two)); j++ {
					t.Logf("    1 %s", one[j])
					t.Logf("    2 %s", two[j])
				}
				break
			}
		}
	}
	t.Errorf("%d of %d differ", differ, *seeds)
}
