package dynamo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"
)

// The attributes that are not a thing's own fields. docs/storage.md lists the keys.
const (
	attrPK   = "pk"  // partition key
	attrSK   = "sk"  // sort key
	attrOrd  = "o"   // sort key of the local index: the order of a session's lists
	attrList = "lk"  // partition key of the global index: the list
	attrPos  = "ls"  // sort key of the global index: the place in the list
	attrTTL  = "ttl" // seconds; from then on the service may remove the item
	attrNote = "w"   // a random text of the last conditional write, by which a repeat knows its own work

	indexOrder = "order"
	indexList  = "list"
)

// key names an item.
type key struct{ pk, sk string }

// keyOf is the key of an item.
func keyOf(it item) key { return key{it.text(attrPK), it.text(attrSK)} }

func (k key) item() item { return item{attrPK: str(k.pk), attrSK: str(k.sk)} }

// partName makes a part of a key: no two texts give the same one, none holds the separator
// or a low character, and none is longer than the service takes.
func partName(s string) string {
	plain := len(s) <= 200
	for i := 0; plain && i < len(s); i++ {
		c := s[i]
		plain = c > ' ' && c != '#' && c != '~' && c < 0x7f
	}
	if plain {
		return s
	}
	h := sha256.Sum256([]byte(s))
	return "~" + hex.EncodeToString(h[:])
}

// name joins a kind and parts to a key.
func name(kind string, parts ...string) string {
	var b strings.Builder
	b.WriteString(kind)
	for _, p := range parts {
		b.WriteByte('#')
		b.WriteString(partName(p))
	}
	return b.String()
}

// sortable writes a time so that texts sort as times do, also before 1970.
func sortable(t time.Time) string { return fmt.Sprintf("%015d", ms(t)+100_000_000_000_000) }

// seqName writes a sequence number so that texts sort as numbers do.
func seqName(n int64) string { return fmt.Sprintf("%016d", n) }

// after is larger than every text that begins with the prefix: what follows is letters,
// digits and punctuation below it, or a hash that begins with ~.
func after(prefix string) string { return prefix + "\u00ff" }

// stamps tells things apart that come within one millisecond: the order of creation as
// one process sees it. Between nodes it is as good as their clocks.
type stamps struct {
	mu   sync.Mutex
	last int64
}

func (s *stamps) next(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, now.UnixMicro())
	return fmt.Sprintf("%017d", s.last)
}

func (s *Store) stamp() string { return s.stamps.next(s.now()) }
