/* The Objective-C runtime and Foundation. */
#import "cases.h"
#include <string.h>

static int animals_alive;

@interface Animal : NSObject {
    NSString *_name;
    NSString *_owner;
    Animal *_friend;
    int _age;
}
@property (nonatomic, copy) NSString *name;
@property (copy) NSString *owner;
@property (nonatomic, retain) Animal *companion;
@property (nonatomic, assign) int age;
+ (const char *)kind;
- (int)legs;
@end

@interface Bird : Animal
@end

@interface Animal (Speaking)
- (const char *)sound;
@end

@interface NSString (Counting)
- (NSUInteger)countOf:(char)character;
@end

@implementation Animal
@synthesize name = _name;
@synthesize owner = _owner;
@synthesize companion = _friend;
@synthesize age = _age;

+ (const char *)kind
{
    return "animal";
}

- (id)init
{
    self = [super init];
    ++animals_alive;
    return self;
}

- (void)dealloc
{
    --animals_alive;
    [_name release];
    [_owner release];
    [_friend release];
    [super dealloc];
}

- (int)legs
{
    return 4;
}
@end

@implementation Animal (Speaking)
- (const char *)sound
{
    return "?";
}
@end

@implementation Bird
- (int)legs
{
    return [super legs] - 2;
}

+ (const char *)kind
{
    return [super kind] + 2;
}
@end

@implementation NSString (Counting)
- (NSUInteger)countOf:(char)character
{
    NSUInteger count = 0;
    for (const char *c = [self UTF8String]; *c; ++c) {
        count += *c == character;
    }
    return count;
}
@end

CASE(objects_are_counted)
{
    const NSUInteger before = PortableMetalLiveObjects();
    Animal *animal = [Animal new];
    CHECK_EQUAL([animal retainCount], 1);
    CHECK([animal retain] == animal);
    CHECK_EQUAL([animal retainCount], 2);
    CHECK_EQUAL(PortableMetalLiveObjects(), before + 1);
    [animal release];
    CHECK_EQUAL(animals_alive, 1);
    [animal release];
    CHECK_EQUAL(animals_alive, 0);
    CHECK_EQUAL(PortableMetalLiveObjects(), before);
}

CASE(classes_inherit)
{
    Bird *bird = [[[Bird alloc] init] autorelease];
    CHECK_EQUAL([bird legs], 2);
    CHECK_TEXT([Bird kind], "imal");
    CHECK_TEXT([bird sound], "?");
    CHECK([bird class] == [Bird class] && [Bird class] != [Animal class]);
    CHECK([bird superclass] == [Animal class] && [Animal superclass] == [NSObject class] && ![NSObject superclass]);
    CHECK([bird isKindOfClass:[Bird class]] && [bird isKindOfClass:[NSObject class]]);
    CHECK(![bird isKindOfClass:[NSString class]]);
    CHECK([bird respondsToSelector:@selector(sound)] && ![bird respondsToSelector:@selector(countOf:)]);
    CHECK([bird isEqual:bird] && ![bird isEqual:nil] && [bird hash] == [bird hash]);
    CHECK_TEXT([[bird description] UTF8String], "<Bird: 0x");
    CHECK_EQUAL([@"banana" countOf:'a'], 3);
}

CASE(unknown_messages_answer_nil)
{
    Animal *animal = [[[Animal alloc] init] autorelease];
    CHECK([(id)animal objectAtIndex:0] == nil);
    CHECK_VIOLATION("-[Animal objectAtIndex:]: there is no such method");
    CHECK([(id)[Animal class] objectAtIndex:0] == nil);
    CHECK_VIOLATION("+[Animal objectAtIndex:]: there is no such method");
    CHECK([(Animal *)nil companion] == nil && [(Animal *)nil legs] == 0);
    CHECK_VIOLATION(NULL);
}

CASE(synthesized_properties_copy_and_retain)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    Animal *animal = [[Animal alloc] init], *friend = [[Animal alloc] init];
    NSString *name = [[NSString alloc] initWithUTF8String:"Ada"];
    animal.name = name;
    animal.owner = name;
    animal.companion = friend;
    animal.companion = friend;
    animal.age = 7;
    [name release];
    CHECK_TEXT([animal.name UTF8String], "Ada");
    CHECK_TEXT([animal.owner UTF8String], "Ada");
    CHECK_EQUAL(animal.age, 7);
    CHECK_EQUAL([friend retainCount], 2);
    animal.companion = nil;
    CHECK_EQUAL([friend retainCount], 1);
    animal.name = nil;
    CHECK(!animal.name);
    [friend release];
    [animal release];
    [pool drain];
    CHECK_EQUAL(animals_alive, 0);
}

CASE(pools_release_in_their_scope)
{
    NSAutoreleasePool *outer = [[NSAutoreleasePool alloc] init];
    [[[Animal alloc] init] autorelease];
    NSAutoreleasePool *inner = [[NSAutoreleasePool alloc] init];
    for (int i = 0; i < 1000; ++i) {
        [[[Animal alloc] init] autorelease];
    }
    CHECK_EQUAL(animals_alive, 1001);
    [inner release];
    CHECK_EQUAL(animals_alive, 1);
    inner = [[NSAutoreleasePool alloc] init];
    [[[Animal alloc] init] autorelease];
    [outer drain];
    CHECK_EQUAL(animals_alive, 0);
    [inner drain];
    [[[Animal alloc] init] autorelease];
    CHECK_EQUAL(animals_alive, 1);
}

CASE(strings_hold_utf8)
{
    NSString *constant = @"grüße 😀", *made = [NSString stringWithUTF8String:"grüße 😀"];
    CHECK_EQUAL([constant length], 8);
    CHECK_EQUAL([made length], 8);
    CHECK(strcmp([made UTF8String], "grüße 😀") == 0);
    CHECK(constant != made && [constant isEqualToString:made] && [made isEqual:constant]);
    CHECK_EQUAL([constant hash], [made hash]);
    CHECK(![made isEqual:@"x"] && ![made isEqualToString:nil] && ![made isEqual:[[NSObject new] autorelease]]);
    NSString *copy = [made copy];
    CHECK([copy isEqual:made]);
    [copy release];
    CHECK([constant retain] == constant && [constant copy] == constant && [constant autorelease] == constant);
    [constant release];
    CHECK([[[[NSString alloc] init] autorelease] isEqualToString:@""]);
    CHECK(![NSString stringWithUTF8String:NULL]);
    CHECK_VIOLATION("NULL; a string expected");
}

CASE(arrays_hold_objects)
{
    id objects[] = {@"a", [[[Animal alloc] init] autorelease], nil};
    NSArray *array = [NSArray arrayWithObjects:objects count:2];
    CHECK_EQUAL([array count], 2);
    CHECK([array objectAtIndex:0] == objects[0] && [array objectAtIndex:1] == objects[1]);
    CHECK_EQUAL([objects[1] retainCount], 2);
    CHECK(![array objectAtIndex:2]);
    CHECK_VIOLATION("index 2; the array has 2 objects");
    CHECK(![NSArray arrayWithObjects:objects count:3]);
    CHECK_VIOLATION("object 2 of 3 is nil");
    CHECK_EQUAL([[NSArray arrayWithObjects:objects count:0] count], 0);
}
