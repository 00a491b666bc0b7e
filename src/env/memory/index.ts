/** env/memory: a disk that ends with the process. */
export { MemoryDisk, type MemoryDiskOptions, memoryDisk } from './memory-disk.ts'
