package dataset

import "sync/atomic"

// Cache bounds the memory in which Loaders keep images, decoded and, unless a
// random part of them is wanted, of the input's size. A Loader fills it as
// images are first asked for; once the limit is reached, further images are
// decoded each time. What is kept never changes what a Loader gives. Several
// Loaders may share a Cache.
type Cache struct{ left atomic.Int64 }

// NewCache returns a Cache of at most the given number of bytes.
func NewCache(bytes int64) *Cache {
	c := new(Cache)
	c.left.Store(bytes)
	return c
}

// cacheOverhead is an upper bound of what an image takes beside its samples.
const cacheOverhead = 128

// reserve takes memory for an image of the given size, and reports whether
// there was enough.
func (c *Cache) reserve(size int) bool {
	need := int64(size) + cacheOverhead
	for {
		left := c.left.Load()
		if left < need {
			return false
		}
		if c.left.CompareAndSwap(left, left-need) {
			return true
		}
	}
}

// release gives back what reserve took.
func (c *Cache) release(size int) { c.left.Add(int64(size) + cacheOverhead) }

// keeper is a Loader's part of a Cache.
type keeper struct {
	cache  *Cache
	images []atomic.Pointer[Image]
}

func (k *keeper) load(i int) (Image, bool) {
	if k.cache == nil {
		return Image{}, false
	}
	if m := k.images[i].Load(); m != nil {
		return *m, true
	}
	return Image{}, false
}

// room reports whether there is memory, which is then taken, to keep an image.
func (k *keeper) room(size int) bool { return k.cache != nil && k.cache.reserve(size) }

// store keeps an image for which room was found.
func (k *keeper) store(i int, m Image) {
	if !k.images[i].CompareAndSwap(nil, &m) {
		k.cache.release(len(m.Pix)) // another epoch under way was faster
	}
}

// inMemory reports whether the images of ds are at hand without reading and
// decoding.
func inMemory(ds Dataset) bool {
	m, ok := ds.(interface{ inMemory() bool })
	return ok && m.inMemory()
}

func (m *Memory) inMemory() bool { return true }
func (s *subset) inMemory() bool { return inMemory(s.Dataset) }
