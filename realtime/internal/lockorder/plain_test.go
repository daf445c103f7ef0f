//go:build !race

package lockorder

import (
	"sync"
	"testing"
	"unsafe"
)

func TestARankCostsNothing(t *testing.T) {
	if got, want := unsafe.Sizeof(Mutex[Student]{}), unsafe.Sizeof(sync.Mutex{}); got != want {
		t.Errorf("Mutex: got %d bytes, want %d", got, want)
	}
	if got, want := unsafe.Sizeof(RWMutex[Hub]{}), unsafe.Sizeof(sync.RWMutex{}); got != want {
		t.Errorf("RWMutex: got %d bytes, want %d", got, want)
	}
}
