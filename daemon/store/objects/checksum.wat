;; The checksum of chunks: XXH3 with 64 bits and without a seed (https://xxhash.com), of inputs above 240 bytes.
;; `scripts/kernels.mjs` makes checksum-kernel.ts of this. Memory, in bytes: 0 XXH3's own secret, 1,024 the input: a call gets
;; at most 64 KiB of it, so that it stays in the processor's cache.
(module
  (memory (export "memory") 2)
  (data (i32.const 0)
    "\b8\fe\6c\39\23\a4\4b\be\7c\01\81\2c\f7\21\ad\1c\de\d4\6d\e9\83\90\97\db\72\40\a4\a4\b7\b3\67\1f"
    "\cb\79\e6\4e\cc\c0\e5\78\82\5a\d0\7d\cc\ff\72\21\b8\08\46\74\f7\43\24\8e\e0\35\90\e6\81\3a\26\4c"
    "\3c\28\52\bb\91\c3\00\cb\88\d0\65\8b\1b\53\2e\a3\71\64\48\97\a2\0d\f9\4e\38\19\ef\46\a9\de\ac\d8"
    "\a8\fa\76\3f\e3\9c\34\3f\f9\dc\bb\c7\c7\0b\4f\1d\8a\51\e0\4b\cd\b4\59\31\c8\9f\7e\c9\d9\78\73\64"
    "\ea\c5\ac\83\34\d3\eb\c3\c5\81\a0\ff\fa\13\63\eb\17\0d\dd\51\b7\f0\da\49\d3\16\55\26\29\d4\68\9e"
    "\2b\16\be\58\7d\47\a1\fc\8f\f8\b8\d1\7a\d0\31\ce\45\cb\3a\8f\95\16\04\28\af\d7\fb\ca\bb\4b\40\7e")

  (global $a (mut v128) (v128.const i64x2 0 0))
  (global $b (mut v128) (v128.const i64x2 0 0))
  (global $c (mut v128) (v128.const i64x2 0 0))
  (global $d (mut v128) (v128.const i64x2 0 0))

  (func (export "begin")
    (global.set $a (v128.const i64x2 0xc2b2ae3d 0x9e3779b185ebca87))
    (global.set $b (v128.const i64x2 0xc2b2ae3d27d4eb4f 0x165667b19e3779f9))
    (global.set $c (v128.const i64x2 0x85ebca77c2b2ae63 0x85ebca77))
    (global.set $d (v128.const i64x2 0x27d4eb2f165667c5 0x9e3779b1)))

  ;; Adds whole blocks of 1,024 bytes, from `at` to `end`.
  (func (export "blocks") (param $at i32) (param $end i32)
    (block $done
      (loop $block
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (call $stripes (local.get $at) (i32.add (local.get $at) (i32.const 1024)) (i32.const 0))
        (global.set $a (call $scrambled (global.get $a) (v128.load (i32.const 128))))
        (global.set $b (call $scrambled (global.get $b) (v128.load (i32.const 144))))
        (global.set $c (call $scrambled (global.get $c) (v128.load (i32.const 160))))
        (global.set $d (call $scrambled (global.get $d) (v128.load (i32.const 176))))
        (local.set $at (i32.add (local.get $at) (i32.const 1024)))
        (br $block))))

  ;; Adds the end of the input, at most 1,024 bytes from `at` to `end`; the 64 bytes before `end` are all input. Returns the
  ;; checksum of an input of `length` bytes.
  (func (export "finish") (param $at i32) (param $end i32) (param $length i32) (result i64)
    (local $last i32)
    (local $sum i64)
    ;; Whole stripes of 64 bytes before the last byte, and then the last 64 bytes.
    (local.set $last
      (i32.and (i32.sub (i32.sub (local.get $end) (i32.const 1)) (local.get $at)) (i32.const -64)))
    (call $stripes (local.get $at) (i32.add (local.get $at) (local.get $last)) (i32.const 0))
    (call $stripes (i32.sub (local.get $end) (i32.const 64)) (local.get $end) (i32.const 121))
    (local.set $sum (i64.mul (i64.extend_i32_u (local.get $length)) (i64.const 0x9e3779b185ebca87)))
    (local.set $sum (i64.add (local.get $sum) (call $folded (global.get $a) (i32.const 11))))
    (local.set $sum (i64.add (local.get $sum) (call $folded (global.get $b) (i32.const 27))))
    (local.set $sum (i64.add (local.get $sum) (call $folded (global.get $c) (i32.const 43))))
    (local.set $sum (i64.add (local.get $sum) (call $folded (global.get $d) (i32.const 59))))
    (local.set $sum (i64.xor (local.get $sum) (i64.shr_u (local.get $sum) (i64.const 37))))
    (local.set $sum (i64.mul (local.get $sum) (i64.const 0x165667919e3779f9)))
    (i64.xor (local.get $sum) (i64.shr_u (local.get $sum) (i64.const 32))))

  (func $stripes (param $at i32) (param $end i32) (param $secret i32)
    (local $x v128) (local $k v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $a (global.get $a))
    (local.set $b (global.get $b))
    (local.set $c (global.get $c))
    (local.set $d (global.get $d))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $x (v128.load offset=0 (local.get $at)))
        (local.set $k (v128.xor (local.get $x) (v128.load offset=0 (local.get $secret))))
        (local.set $a
          (i64x2.add
            (i64x2.add
              (local.get $a)
              (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $x) (local.get $x)))
            (i64x2.extmul_low_i32x4_u
              (i8x16.shuffle 0 1 2 3 8 9 10 11 0 1 2 3 8 9 10 11 (local.get $k) (local.get $k))
              (i8x16.shuffle 4 5 6 7 12 13 14 15 4 5 6 7 12 13 14 15 (local.get $k) (local.get $k)))))
        (local.set $x (v128.load offset=16 (local.get $at)))
        (local.set $k (v128.xor (local.get $x) (v128.load offset=16 (local.get $secret))))
        (local.set $b
          (i64x2.add
            (i64x2.add
              (local.get $b)
              (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $x) (local.get $x)))
            (i64x2.extmul_low_i32x4_u
              (i8x16.shuffle 0 1 2 3 8 9 10 11 0 1 2 3 8 9 10 11 (local.get $k) (local.get $k))
              (i8x16.shuffle 4 5 6 7 12 13 14 15 4 5 6 7 12 13 14 15 (local.get $k) (local.get $k)))))
        (local.set $x (v128.load offset=32 (local.get $at)))
        (local.set $k (v128.xor (local.get $x) (v128.load offset=32 (local.get $secret))))
        (local.set $c
          (i64x2.add
            (i64x2.add
              (local.get $c)
              (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $x) (local.get $x)))
            (i64x2.extmul_low_i32x4_u
              (i8x16.shuffle 0 1 2 3 8 9 10 11 0 1 2 3 8 9 10 11 (local.get $k) (local.get $k))
              (i8x16.shuffle 4 5 6 7 12 13 14 15 4 5 6 7 12 13 14 15 (local.get $k) (local.get $k)))))
        (local.set $x (v128.load offset=48 (local.get $at)))
        (local.set $k (v128.xor (local.get $x) (v128.load offset=48 (local.get $secret))))
        (local.set $d
          (i64x2.add
            (i64x2.add
              (local.get $d)
              (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $x) (local.get $x)))
            (i64x2.extmul_low_i32x4_u
              (i8x16.shuffle 0 1 2 3 8 9 10 11 0 1 2 3 8 9 10 11 (local.get $k) (local.get $k))
              (i8x16.shuffle 4 5 6 7 12 13 14 15 4 5 6 7 12 13 14 15 (local.get $k) (local.get $k)))))
        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (local.set $secret (i32.add (local.get $secret) (i32.const 8)))
        (br $next)))
    (global.set $a (local.get $a))
    (global.set $b (local.get $b))
    (global.set $c (local.get $c))
    (global.set $d (local.get $d)))

  (func $scrambled (param $sum v128) (param $secret v128) (result v128)
    (i64x2.mul
      (v128.xor (v128.xor (local.get $sum) (i64x2.shr_u (local.get $sum) (i32.const 47))) (local.get $secret))
      (v128.const i64x2 0x9e3779b1 0x9e3779b1)))

  ;; The product of both numbers, each mixed with the secret: its upper half mixed with its lower one.
  (func $folded (param $sum v128) (param $secret i32) (result i64)
    (local $x i64) (local $y i64) (local $low i64) (local $cross i64) (local $other i64)
    (local.set $x (i64.xor (i64x2.extract_lane 0 (local.get $sum)) (i64.load (local.get $secret))))
    (local.set $y (i64.xor (i64x2.extract_lane 1 (local.get $sum)) (i64.load offset=8 (local.get $secret))))
    (local.set $low (i64.mul (call $lower (local.get $x)) (call $lower (local.get $y))))
    (local.set $other (i64.mul (call $upper (local.get $x)) (call $lower (local.get $y))))
    (local.set $cross
      (i64.add
        (i64.add (call $upper (local.get $low)) (call $lower (local.get $other)))
        (i64.mul (call $lower (local.get $x)) (call $upper (local.get $y)))))
    (i64.xor
      (i64.add
        (i64.add (call $upper (local.get $other)) (call $upper (local.get $cross)))
        (i64.mul (call $upper (local.get $x)) (call $upper (local.get $y))))
      (i64.mul (local.get $x) (local.get $y))))

  (func $lower (param $x i64) (result i64) (i64.and (local.get $x) (i64.const 0xffffffff)))
  (func $upper (param $x i64) (result i64) (i64.shr_u (local.get $x) (i64.const 32))))
